# Shared by the scripts here: sourced, not run.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
env_python=$root/.venv/bin/python

# Prints the comment at the head of the script for --help or -h as the first argument.
help_if_asked() {
  case "${1:-}" in
    -h | --help)
      sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$0"
      exit 0
      ;;
  esac
}

# Runs scripts/setup.py with the first Python that can.
set_up() {
  local python
  for python in python3 python3.13 python3.12 python3.11 python3.10; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      "$python" "$root/scripts/setup.py"
      return
    fi
  done
  echo "error: Python 3.10 to 3.13 is needed, and none is on PATH" >&2
  return 2
}

# Seconds with a fraction where bash has it (5.0), whole ones on the bash 3.2 of macOS.
now() {
  local seconds=${EPOCHREALTIME:-$SECONDS}
  echo "${seconds/,/.}"
}
