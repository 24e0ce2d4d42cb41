// The scripts that teach shells to ask `mycel complete` what can stand at the end of a line. Where it knows nothing, a file may stand there.

/** The shells. */
export const SHELLS: readonly Shell[] = ["bash", "zsh", "fish"];

/** A shell. */
export type Shell = "bash" | "zsh" | "fish";

/** The script for a shell. */
export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}

// Bash 3.2, which macOS has, knows no mapfile.
const BASH = `_mycel() {
  local value rest
  COMPREPLY=()
  while IFS=$'\\t' read -r value rest; do
    [ -n "$value" ] && COMPREPLY+=("$value")
  done < <("\${COMP_WORDS[0]}" complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _mycel mycel`;

const ZSH = `#compdef mycel
_mycel() {
  local line
  local -a candidates
  for line in "\${(@f)$("\${words[1]}" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && candidates+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( \${#candidates} )); then
    _describe mycel candidates
  else
    _files
  fi
}
if [[ $funcstack[1] == _mycel ]]; then
  _mycel "$@"
else
  compdef _mycel mycel
fi`;

const FISH = `function __mycel_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l candidates ($words[1] complete -- $words[2..] "$current" 2>/dev/null)
  if test (count $candidates) -gt 0
    printf '%s\\n' $candidates
  else
    __fish_complete_path "$current"
  end
end
complete -c mycel -f -a '(__mycel_complete)'`;

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
