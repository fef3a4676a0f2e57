"""`bullpen completion SHELL`: the script that has a shell ask bullpen what may stand at the cursor."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor import Refused
from tui.cli.completion.answer import COMMAND, SHELLS
from tui.cli.output import write

app = typer.Typer(rich_markup_mode=None)

BASH = """\
_bullpen() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :files | :directories)
                compopt -o filenames 2>/dev/null
                [ "$line" = :files ] && line=-f || line=-d
                while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen $line -- "$2")
                return
                ;;
        esac
        COMPREPLY+=("$line")
        case $line in *.) compopt -o nospace 2>/dev/null ;; esac
    done < <("$1" COMMAND bash "${COMP_LINE:0:COMP_POINT}" "${COMP_WORDS[COMP_CWORD]}" 2>/dev/null)
}
complete -o nosort -F _bullpen bullpen 2>/dev/null || complete -F _bullpen bullpen
"""
ZSH = """\
#compdef bullpen
_bullpen() {
    local line
    local -a values
    for line in "${(@f)$("${words[1]}" COMMAND words "${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            '') ;;
            :files) _files; return ;;
            :directories) _files -/; return ;;
            *$'\\t'*) values+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}") ;;
            *) values+=("${line//:/\\\\:}") ;;
        esac
    done
    (( $#values )) && _describe -V bullpen values
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _bullpen "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _bullpen bullpen
fi
"""
FISH = """\
function __bullpen
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    test -z "$current"; and set current ""
    for line in (command $words[1] COMMAND words $words[2..-1] $current 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path $current
            case :directories
                __fish_complete_directories $current
            case '*'
                echo $line
        end
    end
end
complete -c bullpen -f -k -a '(__bullpen)'
"""
SCRIPTS = {shell: text.replace("COMMAND", COMMAND) for shell, text in zip(SHELLS, (BASH, ZSH, FISH), strict=True)}


@app.command()
def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help=f"One of {', '.join(SHELLS)}.")],
) -> None:
    """Prints the script that completes bullpen in a shell. Of names it knows those that run here."""
    if shell not in SCRIPTS:
        raise Refused(f"no completion for {shell}: there is one for {', '.join(SHELLS)}")
    write(SCRIPTS[shell])
