#!/bin/sh
# Says, before anything is installed, what this machine lacks. Usage: check_machine.sh PYTHON
python=$1
failed=0
say() {
    echo "kb: $1" >&2
    failed=1
}

if ! command -v "$python" >/dev/null 2>&1; then
    say "Python 3.11 or newer is needed and '$python' was not found. Install it (Debian, Ubuntu: apt-get install python3 python3-venv python3-dev) or name one: make run PYTHON=/path/to/python3.12"
    exit 1
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "Python 3.11 or newer is needed, and $python is $version. Install a newer one, or name it: make run PYTHON=/path/to/python3.12"
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    say "$python cannot create virtual environments. Install the module (Debian, Ubuntu: apt-get install python3-venv)"
fi
if ! command -v c++ >/dev/null 2>&1 && ! command -v g++ >/dev/null 2>&1 && ! command -v clang++ >/dev/null 2>&1; then
    say "a C++ compiler is needed to build hnswlib. Install one (Debian, Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++)"
fi
if ! "$python" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))'; then
    say "the header files of $python are needed to build hnswlib. Install them (Debian, Ubuntu: apt-get install python3-dev)"
fi
exit $failed
