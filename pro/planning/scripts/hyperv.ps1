Import-Module -Name Hyper-V

function Assert-HostName([string] $Id) {
    if ($Id -cnotmatch '\A[A-Za-z0-9][A-Za-z0-9.-]*\z') {
        throw ('{0} is not a host name' -f (Format-Text $Id))
    }
}

function Find-Vm([string] $Id, [string] $HostName) {
    if (Test-Guid $Id) {
        $found = Hyper-V\Get-VM -ComputerName $HostName -Id $Id
    }
    else {
        $found = Hyper-V\Get-VM -ComputerName $HostName | Where-Object { $_.Name -ceq $Id }
    }
    Select-One $found ('VM on {0}' -f $HostName) $Id
}

function Get-Migration([string] $VmId, [string] $SourceId, [string] $DestinationId) {
    Assert-HostName $SourceId
    Assert-HostName $DestinationId
    @{ Vm = (Find-Vm $VmId $SourceId); Destination = $DestinationId }
}

function Start-Migration($Ready, [string] $Kind, [string] $Tip) {
    Hyper-V\Move-VM -VM $Ready.Vm -DestinationHost $Ready.Destination -AsJob -Confirm:$false
}

function Test-Arrival($Ready, $Job) {
    if ('Failed', 'Stopped' -ccontains "$($Job.State)") {
        throw ('the move of VM {0} ended as {1}' -f $Ready.Vm.Id, $Job.State)
    }
    if ("$($Job.State)" -cne 'Completed') {
        return $false
    }
    $vm = Find-Vm "$($Ready.Vm.Id)" $Ready.Destination
    $null -ne $vm
}
