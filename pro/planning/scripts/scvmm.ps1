Import-Module -Name VirtualMachineManager

function Find-Vm([string] $Id) {
    if (Test-Guid $Id) {
        $found = VirtualMachineManager\Get-SCVirtualMachine -ID $Id
    }
    else {
        $found = VirtualMachineManager\Get-SCVirtualMachine -All | Where-Object { $_.Name -ceq $Id }
    }
    Select-One $found 'VM' $Id
}

function Find-VmHost([string] $Id) {
    if (Test-Guid $Id) {
        $found = VirtualMachineManager\Get-SCVMHost -ID $Id
    }
    else {
        $found = VirtualMachineManager\Get-SCVMHost | Where-Object { $_.Name -ceq $Id -or $_.ComputerName -ceq $Id }
    }
    Select-One $found 'host' $Id
}

function Get-Migration([string] $VmId, [string] $SourceId, [string] $DestinationId) {
    $vm = Find-Vm $VmId
    $source = Find-VmHost $SourceId
    $destination = Find-VmHost $DestinationId
    if ($vm.VMHost.ID -ne $source.ID) {
        throw ('VM {0} does not stand on {1}: the plan is stale' -f (Format-Text $VmId), (Format-Text $SourceId))
    }
    @{ Vm = $vm; Destination = $destination }
}

function Start-Migration($Ready, [string] $Kind, [string] $Tip) {
    # VMM chooses live migration by itself where it is possible; -JobVariable takes a name, not a variable.
    if (Test-Guid $Tip) {
        VirtualMachineManager\Move-SCVirtualMachine -VM $Ready.Vm -VMHost $Ready.Destination -BlockLiveMigrationIfHostBusy -RunAsynchronously -JobVariable 'planJob' -PROTipID $Tip | Out-Null
    }
    else {
        VirtualMachineManager\Move-SCVirtualMachine -VM $Ready.Vm -VMHost $Ready.Destination -BlockLiveMigrationIfHostBusy -RunAsynchronously -JobVariable 'planJob' | Out-Null
    }
    Get-Variable -Name 'planJob' -ValueOnly -ErrorAction SilentlyContinue
}

function Test-Arrival($Ready, $Job) {
    # Where the VM is seen decides; the job only tells earlier that it will never be seen there.
    $status = if ($null -eq $Job) { '' } else { "$($Job.Status)" }
    if ('Failed', 'Canceled' -ccontains $status) {
        throw ('the move of VM {0} ended as {1}' -f $Ready.Vm.ID, $status)
    }
    $vm = VirtualMachineManager\Get-SCVirtualMachine -ID $Ready.Vm.ID
    $vm.VMHost.ID -eq $Ready.Destination.ID -and $status -cne 'Running'
}
