#!/bin/sh
# Locations of a booking service get personal codes: when the staff creates one, when a user adds one, when its onboarding is
# finished, and a month after it was deactivated. Each code may be used three times, by its location alone.
#
# Needs `codemint` on the PATH. Everything happens in a temporary folder, with a SQLite store. The script checks itself: it ends
# with "All is as told.", or exits with code 1 at the first thing that is not.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export CODEMINT__STORE__URL="sqlite://$folder/shop.db" CODEMINT__ADMIN__LISTEN=off CODEMINT__LOG__LEVEL=error

fail() {
    printf 'NOT AS TOLD: %s\n' "$1" >&2
    exit 1
}

# says TEXT COMMAND...: runs a command and fails unless its output has the text; the exit code does not matter.
says() {
    text=$1
    shift
    output=$("$@" 2>&1) || true
    case $output in
    *"$text"*) ;;
    *) fail "$* answers \"$output\", not \"$text\"" ;;
    esac
}

# campaign NAME PREFIX TYPES DAYS: creates a campaign for small businesses, and fills its pool.
campaign() {
    cat >campaign.json <<JSON
{ "name": "$1", "title": "$1", "kind": "restricted", "active": true, "mask": "$2-[:safe:]{8}",
  "limits": { "per_code": 3 }, "segments": ["small business"], "use_cases": [$3, "preset"],
  "wait_days_after_deactivation": $4,
  "discount": { "effect": { "type": "percent", "basis_points": 2000 }, "target": { "type": "order" } } }
JSON
    codemint --quiet campaign create campaign.json
    codemint --quiet campaign codes "$1" --count 20 >/dev/null
}

# trigger ID TYPE LOCATION [DEACTIVATED_AT]: says what happened, and answers what became of it.
trigger() {
    deactivated=null
    [ $# -lt 4 ] || deactivated="\"$4\""
    printf '{ "id": "%s", "type": "%s", "identity": "%s", "deactivated_at": %s }' "$1" "$2" "$3" "$deactivated" |
        codemint trigger send -
}

# code_of ID: prints the code that a trigger issued.
code_of() {
    codemint trigger show "$1" | sed -n 's/^issued   \([^ ]*\).*/\1/p'
}

echo 'Three campaigns, for locations of small businesses:'
campaign 'Welcome' WELCOME '"location.created", "location.added"' 0
campaign 'Onboarded' READY '"onboarding.finished"' 0
campaign 'Come back' BACK '"location.deactivated"' 30
printf 'location-1\nlocation-2\nlocation-3\n' >members.txt
codemint segment members 'small business' members.txt

echo
echo 'The staff creates location 1, and a user adds location 2:'
says 'issued   WELCOME-' trigger created-1 location.created location-1
says 'issued   WELCOME-' trigger added-2 location.added location-2
codemint identity codes location-1

echo
echo 'The same message again has the same answer, and another one issues no second code:'
first=$(codemint trigger show created-1)
says "$first" trigger created-1 location.created location-1
says 'skipped  already-generated  Welcome' trigger added-1 location.added location-1
says 'skipped  segment-not-met  Welcome' trigger created-9 location.created location-9
says 'exists already with another content' trigger created-1 location.created location-2
codemint trigger show added-1
codemint trigger show created-9

echo
echo 'Location 1 has finished its onboarding:'
says 'issued   READY-' trigger finished-1 onboarding.finished location-1
codemint trigger show finished-1

echo
echo 'Location 3 was deactivated long ago. Nothing is issued at once; a worker decides it:'
says 'skipped  waits-for-deactivation  Come back' trigger unknown-3 location.deactivated location-3
says 'waiting  until 2900-01-31' trigger gone-2 location.deactivated location-2 2900-01-01T00:00:00Z
says 'waiting  until 2020-01-31' trigger gone-3 location.deactivated location-3 2020-01-01T00:00:00Z
codemint worker --drain
says 'issued   BACK-' codemint trigger show gone-3
says 'waiting  until 2900-01-31' codemint trigger show gone-2
codemint trigger show gone-3

echo
echo 'Each location picks its own code from the list, three times:'
printf '{ "use_case": "preset" }' >picked.json
printf '{ "currency": "EUR", "lines": [ { "sku": "BOOKING", "quantity": 1, "unit_amount": 5000 } ] }' >cart.json
for id in created-1 added-2 finished-1 gone-3; do
    code=$(code_of "$id")
    [ -n "$code" ] || fail "$id issued no code"
    case $id in *-1) location=location-1 ;; *-2) location=location-2 ;; *) location=location-3 ;; esac
    for use in 1 2 3; do
        codemint --quiet redeem "$code" --identity "$location" --context picked.json --cart cart.json \
            --order "order-$id-$use" >/dev/null || fail "use $use of the code of $id was refused"
    done
    says limit-reached codemint redeem "$code" --identity "$location" --context picked.json --cart cart.json
    echo "$location used a code three times; the fourth time was refused"
done

echo
echo 'Nobody else may use a code, and one that does not exist is no preset:'
says wrong-identity codemint validate "$(code_of added-2)" --identity location-1 --context picked.json --cart cart.json
says preset-not-found codemint validate WELCOME-NOTHING1 --identity location-1 --context picked.json --cart cart.json
codemint identity codes location-1

echo
echo 'All is as told.'
