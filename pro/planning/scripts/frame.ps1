
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

function Read-Text([string] $Marked) {
    # Every text carries two marker characters, so that nothing in it can be taken for a date or a number.
    $Marked.Substring(2)
}

function Format-Text([string] $Text) {
    $Text -replace '[^\x20-\x7E]', '?'
}

function Test-Guid([string] $Text) {
    $Text -cmatch '\A[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\z'
}

function Select-One($Found, [string] $What, [string] $Id) {
    $all = @($Found | Where-Object { $null -ne $_ })
    if ($all.Count -ne 1) {
        throw ('{0} {1}: expected exactly one match, found {2}' -f $What, (Format-Text $Id), $all.Count)
    }
    $all[0]
}

