
$plan = ConvertFrom-Json -InputObject $json
$tip = Read-Text $plan.tip
$pretended = @{}
$waveNumber = 0
foreach ($wave in @($plan.waves)) {
    $waveNumber++
    $running = @()
    foreach ($step in @($wave.steps)) {
        $vmId = Read-Text $step.vm
        $sourceId = Read-Text $step.source
        $destinationId = Read-Text $step.destination
        $what = '{0} from {1}' -f (Format-Text $vmId), (Format-Text $sourceId)
        $action = 'wave {0}: {1} migration to {2}' -f $waveNumber, $step.kind, (Format-Text $destinationId)
        if (-not $pretended.ContainsKey($vmId)) {
            $ready = Get-Migration $vmId $sourceId $destinationId
        }
        if ($PSCmdlet.ShouldProcess($what, $action)) {
            $job = Start-Migration $ready $step.kind $tip
            $deadline = (Get-Date).AddSeconds($step.deadline)
            $running += @{ What = $what; Ready = $ready; Job = $job; Deadline = $deadline }
        }
        elseif ($WhatIfPreference) {
            $pretended[$vmId] = $true
        }
        else {
            throw ('{0}: declined, so the rest of the plan no longer holds' -f $what)
        }
    }
    while ($running.Count -gt 0) {
        Start-Sleep -Seconds $PollSeconds
        $waiting = @()
        foreach ($one in $running) {
            if (Test-Arrival $one.Ready $one.Job) {
                Write-Output ('arrived: {0}' -f $one.What)
            }
            elseif ((Get-Date) -gt $one.Deadline) {
                throw ('{0}: not on its destination in time' -f $one.What)
            }
            else {
                $waiting += $one
            }
        }
        $running = $waiting
    }
}
