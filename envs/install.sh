#!/usr/bin/env bash
# unetflow with pinned packages in a virtual environment: envs/install.sh FOLDER [EXTRA...]
#
#     envs/install.sh .venv slides distributed
#
# PYTHON is the interpreter (python3.11). pip's own settings count: with the PIP_EXTRA_INDEX_URL that
# PyTorch's page gives for CPUs or for another CUDA, a PyTorch for these is installed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:?say which folder the environment shall lie in}
shift
extras=$(IFS=,; echo "$*")
"${PYTHON:-python3.11}" -m venv "$folder"
"$folder/bin/pip" install --quiet --constraint "$root/envs/constraints.txt" \
	--editable "$root${extras:+[$extras]}"
