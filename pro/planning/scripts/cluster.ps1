Import-Module -Name FailoverClusters

function Find-Vm([string] $Id) {
    if (Test-Guid $Id) {
        $found = FailoverClusters\Get-ClusterGroup -VMId $Id -Cluster $Cluster
    }
    else {
        $found = FailoverClusters\Get-ClusterGroup -Cluster $Cluster | Where-Object { $_.GroupType -eq 'VirtualMachine' -and $_.Name -ceq $Id }
    }
    Select-One $found 'VM' $Id
}

function Find-VmHost([string] $Id) {
    $found = FailoverClusters\Get-ClusterNode -Cluster $Cluster | Where-Object { $_.Name -ceq $Id }
    Select-One $found 'host' $Id
}

function Get-Migration([string] $VmId, [string] $SourceId, [string] $DestinationId) {
    $group = Find-Vm $VmId
    $source = Find-VmHost $SourceId
    $destination = Find-VmHost $DestinationId
    if ($group.OwnerNode.Name -cne $source.Name) {
        throw ('VM {0} does not stand on {1}: the plan is stale' -f (Format-Text $VmId), (Format-Text $SourceId))
    }
    @{ Id = $VmId; Group = $group; Destination = $destination }
}

function Start-Migration($Ready, [string] $Kind, [string] $Tip) {
    $type = if ($Kind -ceq 'quick') { 'Quick' } else { 'Live' }
    if (Test-Guid $Ready.Id) {
        FailoverClusters\Move-ClusterVirtualMachineRole -VMId $Ready.Id -Node $Ready.Destination.Name -MigrationType $type -Wait 0 -Cluster $Cluster | Out-Null
    }
    else {
        FailoverClusters\Move-ClusterVirtualMachineRole -InputObject $Ready.Group -Node $Ready.Destination.Name -MigrationType $type -Wait 0 | Out-Null
    }
}

function Test-Arrival($Ready, $Job) {
    $group = Find-Vm $Ready.Id
    if ("$($group.State)" -ceq 'Failed') {
        throw ('VM {0} is in state Failed' -f (Format-Text $Ready.Id))
    }
    $group.OwnerNode.Name -ceq $Ready.Destination.Name -and "$($group.State)" -cne 'Pending'
}
