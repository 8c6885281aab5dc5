#!/usr/bin/env bash
# Everything that only a GPU can tell, in one call: the tests marked cuda, times, errors, rates and profiles.
#
#     benchmarks/gpu.sh OUT [--device cuda] [--clips 64] [--minutes 12] [--check-clips 500] [--parts "tests speed1 ..."]
#
# OUT           folder for the results: PART.txt (what was printed; where a part was cut off, its last lines say at
#               what), PART.json (as far as it got), profile_*.txt, and summary.txt.
# --device      cuda, cuda:N, or cpu for a rehearsal: then few frames, points and repeats are taken.
# --clips       most clips at once; parts with more are left out.
# --minutes     for all parts together. Each has a limit of its own beside that: its weight's share of what is left, so
#               what one part does not use, later ones may.
# --check-clips most clips to compare with float64, as many as its time allows.
# --parts       which parts, in this order: tests speed1 speed8 speed64 check training archive profile.
# PYTHON        the interpreter (python, else python3); MEXPLAIN_GPU_GB the room on the GPU for all parts but archive, which compares.
#
# It needs PyTorch, NumPy, OpenCV, Captum, pydantic, safetensors and jaxtyping; the tests pytest, PyAV and beartype too.
# A part that fails or is cut off does not stop the next; the exit code is 1 if one did.
set -u
export PYTHONUNBUFFERED=1
cd "$(dirname "$0")/.." || exit 2

usage() {
  sed -n '4p' "$0" | cut -c3- >&2
  exit 2
}
[ $# -ge 1 ] && [ "${1#-}" = "$1" ] || usage
results=$1 device=cuda clips=64 minutes=12 check_clips=500
parts="tests speed1 speed8 speed64 check training archive profile"
shift
while [ $# -ge 2 ]; do
  case $1 in
    --device) device=$2 ;;
    --clips) clips=$2 ;;
    --minutes) minutes=$2 ;;
    --check-clips) check_clips=$2 ;;
    --parts) parts=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[ $# -eq 0 ] || usage

python=${PYTHON:-$(command -v python || command -v python3)}
mkdir -p "$results" || exit 2
results=$(cd "$results" && pwd)
summary=$results/summary.txt
budget=$("$python" -c 'import sys; print(round(60 * float(sys.argv[1])))' "$minutes") || usage

# The weight of a part, and the most seconds it gets.
weight() { case $1 in tests) echo 130 ;; speed64) echo 70 ;; check | archive) echo 40 ;; *) echo 30 ;; esac; }
most() { case $1 in tests | check) echo 120 ;; speed1) echo 60 ;; archive) echo 90 ;; *) echo 75 ;; esac; }

limit() { # the seconds that part $1 may take; "$@" are all that are left, with it
  local part=$1 total=0 each share
  for each in "$@"; do total=$((total + $(weight "$each"))); done
  share=$(((budget - SECONDS) * $(weight "$part") / total))
  [ "$share" -le "$(most "$part")" ] || share=$(most "$part")
  echo "$((share > 1 ? share : 1))"
}

part_command() { # sets the array `command` for part $1 with $2 seconds, or leaves it empty and says why in `why`
  local size=${1#speed}
  local -a to=(--device "$device" --json "$results/$1.json")
  command=() why=""
  case $1 in
    tests)
      # Tests spread over processes ask for a plug-in that a machine with a GPU may lack.
      local -a alone=(-n 0)
      "$python" -c 'import xdist' 2>/dev/null ||
        alone=(-o "addopts=--import-mode=importlib --jaxtyping-packages=mexplain,beartype.beartype --strict-markers")
      local -a files
      mapfile -t files < <(grep -rl --include='test_*.py' 'mark\.cuda' tests)
      command=(-m pytest "${alone[@]}" -m cuda -v --tb=short --durations=10 -p no:cacheprovider "${files[@]}")
      ;;
    speed1 | speed8 | speed64)
      if [ "$size" -gt "$clips" ]; then why="more than --clips $clips at once" && return; fi
      # The plain way is one clip's, whatever the size: one call is enough beside many clips.
      command=(-m benchmarks speed "${to[@]}" --clips "$size" --sizes "$size" --no-video)
      if $rehearsal; then command+=(--frames 2 --repeats 0 --plain-calls 1)
      elif [ "$size" -eq 64 ]; then command+=(--repeats "$(($2 >= 70))" --plain-calls 1)
      elif [ "$size" -eq 8 ]; then command+=(--repeats 2 --plain-calls 1)
      else command+=(--repeats 3 --plain-calls 2); fi
      ;;
    check)
      command=(-m benchmarks check "${to[@]}" --seconds "$(($2 - 12 - $2 / 10))")
      if $rehearsal; then command+=(--clips "$clips" --frames 2 --steps 8)
      else command+=(--clips "$check_clips" --steps 400); fi
      ;;
    training)
      command=(-m benchmarks training "${to[@]}")
      if $rehearsal; then command+=(--clips 4 --repeats 1); else command+=(--clips 160 --repeats 10); fi
      ;;
    archive)
      command=(-m benchmarks archive "${to[@]}" --clips "$clips" --gigabytes 4 16)
      if $rehearsal; then command+=(--frames 2); elif [ "$2" -ge 50 ]; then command+=(48); fi
      ;;
    profile)
      command=(-m benchmarks profile --device "$device" --clips 1 --out "$results")
      if $rehearsal; then command+=(--frames 2 --batch 4); fi
      ;;
    *) why="no such part" ;;
  esac
}

told() { # the lines of part $1's results that the summary repeats
  local lines
  case $1 in
    tests) lines='^(FAILED|ERROR)' ;;
    speed*) lines='^  full explanation|^ratios\.full|share_of_floor' ;;
    check) lines='^clips:|same_labels|error_most|within_one' ;;
    training) lines='a_second' ;;
    archive) lines='a_second|^tests_of_trust' ;;
    *) return ;;
  esac
  grep -E "$lines" "$results/$1.txt" | sed 's/^ */          /' | head -n 30
}

rehearsal=false
[ "$device" != cpu ] || rehearsal=true
{
  echo "$(date -u '+%F %H:%M:%S') UTC, device $device, at most $budget s"
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null
} | tee "$summary"

failed=0
# shellcheck disable=SC2086
set -- $parts
while [ $# -gt 0 ]; do
  part=$1 seconds=$(limit "$@")
  shift
  part_command "$part" "$seconds"
  if [ ${#command[@]} -eq 0 ]; then
    printf '%-9s left out: %s\n' "$part" "$why" | tee -a "$summary"
    [ "$why" != "no such part" ] || failed=1
    continue
  fi
  began=$SECONDS
  timeout --kill-after=5 "$seconds" "$python" "${command[@]}" >"$results/$part.txt" 2>&1
  code=$?
  [ $code -eq 0 ] || failed=1
  said=""
  [ "$part" != tests ] || said=$(tail -n 1 "$results/$part.txt")
  [ $code -ne 124 ] && [ $code -ne 137 ] || said="cut off at: $(tail -n 1 "$results/$part.txt")"
  printf '%-9s exit %3d  %4d s of %4d  %s\n' "$part" "$code" "$((SECONDS - began))" "$seconds" "$said" |
    tee -a "$summary"
  told "$part" | tee -a "$summary"
done
echo "all in $SECONDS s; results in $results" | tee -a "$summary"
exit $failed
