#Requires -Version 3.0
<#
.SYNOPSIS
    Carries out a migration plan, wave by wave, and stops at the first thing that is not as planned.
.DESCRIPTION
    The text of this script is always the same; what differs from plan to plan is the JSON between the two quotes below.
    VMs and hosts are looked up by GUID, or by their exact name, and there must be exactly one of each. A VM is only moved
    while it stands where the plan expects it, and a wave starts when every VM of the one before it has been seen on its
    destination. Run it with -WhatIf first. Running it again after a stop moves nothing twice: it stops at the first VM that
    has already left its source. In that case make a new plan.
#>
