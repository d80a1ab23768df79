#!/bin/sh
# Times the kernels of this folder: see README.txt.
#
#   sh run.sh [RESULTS]
#
# RESULTS: the file that the times go to; without it results.jsonl in this folder. Stopped at any
# moment and started again it goes on where it was. What PONAS_RUN says (an emulator, taskset, ...)
# is put before the programs. Needs a POSIX shell, cat and chmod.
set -u
LC_ALL=C
export LC_ALL

bundle=@BUNDLE@
platform=@PLATFORM@
steps=@STEPS@
governor=@GOVERNOR@
cpus='@CPUS@'
cool_down_s=@COOL_DOWN_S@
max_temperature_mc=@MAX_TEMPERATURE_MC@

# What differs from batch to batch: how a job is timed, when it has settled.
of_batch() {
  case $1 in
@BATCHES@
  esac
}

case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
results=${1:-$here/results.jsonl}
newline='
'
odd="[!a-zA-Z0-9 .,:;()/_%+='-]"

say() { printf '%s\n' "$*" >&2; }

die() {
  say "ponas: $*"
  exit 1
}

stop() {
  release
  say "stopped; start it again to go on"
  exit 130
}

program() {
  name_of_program=$1
  shift
  ${PONAS_RUN-} "$here/$name_of_program" "$@"
}

keep() { printf '%s\n' "$1" >>"$results" || die "cannot write $results"; }

# Sets plain: a text without what JSON would have to escape.
make_plain() {
  rest=$1 plain=
  while [ -n "$rest" ]; do
    part=${rest%%$odd*}
    plain=$plain$part
    rest=${rest#"$part"}
    rest=${rest#?}
  done
}

check_folder() {
  for file in manifest.json steps.txt kernels settle; do
    [ -r "$here/$file" ] || die "$here/$file is missing: copy the whole folder again"
  done
  chmod +x "$here/kernels" "$here/settle" 2>/dev/null || :
  said=$(program kernels list 2>&1 >/dev/null </dev/null) && return
  make_plain "$said"
  die "this machine does not run the program for $platform ($plain); is it of that kind, and may programs be run from $here?"
}

check_governor() {
  [ -n "$governor" ] || return 0
  set +f
  for file in /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor; do
    cpu=${file#*/cpu/cpu}
    cpu=${cpu%%/*}
    case " $cpus " in '  ' | *" $cpu "*) ;; *) continue ;; esac
    read -r found 2>/dev/null <"$file" || continue
    [ "$found" = "$governor" ] || die "cpu $cpu has the governor $found, the protocol wants it so: echo $governor | sudo tee $file"
  done
  set -f
}

# Sets last, the number of the last step that is in the results, and failed, names of jobs.
resume() {
  last=0 failed=' ' header=
  if [ -e "$results" ]; then
    IFS= read -r header <"$results" || :
  fi
  case $header in
    "{\"bundle\":\"$bundle\","*'}') ;;
    '' | "{\"bundle\":\"$bundle\","*) # none, or it was cut off within the first line
      cat "$here/manifest.json" >"$results" || die "cannot write $results"
      return ;;
    *) die "$results is of another bundle; give another file: sh run.sh RESULTS" ;;
  esac
  keep '' # after a line that was cut off
  while IFS= read -r line; do
    case $line in '{"step":'*'}}' | '{"step":'*'"}') ;; *) continue ;; esac
    last=${line#'{"step":'}
    last=${last%%,*}
    case $line in
      *'"error":'*)
        line=${line#*'"kernel":"'}
        failed="$failed${line%%\"*} " ;;
    esac
  done <"$results"
}

# Two runs into one file would mix their times, and each would disturb the other's. The number of
# a process that is gone holds nothing.
hold() {
  holder=
  if [ -e "$results.lock" ]; then read -r holder <"$results.lock" || :; fi
  case $holder in
    '' | *[!0-9]*) ;;
    *) kill -0 "$holder" 2>/dev/null && die "$results is being written by process $holder; wait for it to end, or stop it; if it is something else, delete $results.lock" ;;
  esac
  printf '%s\n' "$$" >"$results.lock" || die "cannot write $results.lock"
}

release() { printf '' >"$results.lock"; }

facts() {
  keep "{\"session\":\"$1\"}"
  program kernels files @FILES@ >>"$results" 2>/dev/null </dev/null || die "cannot write $results"
}

await_cool() {
  [ "$max_temperature_mc" -gt 0 ] || return 0
  waited=0
  while :; do
    hottest=
    set +f
    for file in /sys/class/thermal/thermal_zone*/temp; do
      read -r found 2>/dev/null <"$file" || continue
      case $found in '' | *[!0-9]*) continue ;; esac
      [ "$found" -gt "${hottest:-0}" ] && hottest=$found
    done
    set -f
    [ -n "$hottest" ] || die "this device does not tell its temperature, which the protocol limits"
    [ "$hottest" -le "$max_temperature_mc" ] && return
    [ "$waited" -ge 600 ] && die "it has stayed hotter than the protocol allows for 10 minutes"
    sleep 5
    waited=$((waited + 5))
  done
}

# Sets todo: the jobs of this batch that the round times.
begin_round() {
  of_batch "$batch"
  todo=all
  if [ "$round" -gt "$passes" ]; then
    todo=$(program settle "$results" "$batch" "$passes" "$rounds" "$agreement" "$drift" </dev/null) ||
      die "cannot tell which kernels have settled"
    IFS=$newline
    set -- $todo
    unset IFS
    todo=" $* "
    [ $# -gt 0 ] || todo=
  fi
  [ -n "$todo" ] || return 0
  say "step $step of at most $steps: batch $((batch + 1)) of @COUNT@, round $round"
  await_cool
}

# Whether the step is left out.
is_done() {
  [ "$step" -gt "$last" ] || return 0
  if [ "$batch $round" != "$now" ]; then
    now="$batch $round"
    begin_round
  fi
  [ -n "$todo" ] || return 0
  case $failed in *" $name "*) return 0 ;; esac
  [ "$watch" = 1 ] && return 1
  case $todo in all | *" $name "*) return 1 ;; esac
  return 0
}

time_one() {
  if [ "$watch" = 0 ] && [ "$cool_down_s" -gt 0 ]; then sleep "$cool_down_s"; fi
  [ "$watch" = 0 ] || await_cool
  about="{\"step\":$step,\"batch\":$batch,\"round\":$round,\"watch\":$watch"
  said=$(program kernels time --kernel "$name" $options 2>&1 </dev/null)
  status=$?
  answer= reason=
  IFS=$newline
  for line in $said; do
    case $line in
      "{\"kernel\":\"$name\","*'}') answer=$line ;;
      *) reason=$line ;;
    esac
  done
  unset IFS
  if [ "$status" = 0 ] && [ -n "$answer" ]; then
    keep "$about,\"timing\":$answer}"
    return
  fi
  case $status in
    2) die "$reason" ;; # what the protocol asks for cannot be on this device
    129 | 130 | 143) stop ;;
  esac
  program kernels list >/dev/null 2>&1 </dev/null ||
    die "the device does not run the program any more; start it again to go on"
  [ "$status" -le 128 ] || reason="it crashed (signal $((status - 128)))"
  make_plain "${reason:-it gave no answer}"
  say "kernel $name: $plain"
  keep "$about,\"kernel\":\"$name\",\"error\":\"$plain\"}"
  failed="$failed$name "
}

set -f
trap stop INT TERM HUP
check_folder
check_governor
hold
resume
[ "$last" -gt 0 ] && say "going on after step $last"
facts start
now= todo=
while read -r step batch round watch name; do
  is_done || time_one
done <"$here/steps.txt"
facts end
release
say "done; bring back $results"
