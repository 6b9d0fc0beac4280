import type { Command, Option } from "commander";

/** A word that may stand at a place of a command line. */
export interface Suggestion {
  readonly word: string;
  /** One line. */
  readonly meaning: string;
}

/**
 * The words that may stand at the end of a command line, from the definitions of the commands.
 * @param words After the program's name; the last is begun, or empty.
 * @returns None where a file, or any text, is expected.
 */
export function suggestions(program: Command, words: readonly string[]): Suggestion[] {
  const begun = words.at(-1) ?? "";
  let command = program;
  let pending: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (pending) pending = undefined;
    else if (word.startsWith("-")) pending = word.includes("=") ? undefined : valueOption(command, word);
    else command = command.commands.find((one) => one.name() === word) ?? command;
  }
  return possible(command, pending, begun).filter(({ word }) => word.startsWith(begun));
}

function possible(command: Command, pending: Option | undefined, begun: string): Suggestion[] {
  if (pending) return choicesOf(pending, "");
  if (!begun.startsWith("-")) {
    return command.commands.map((one) => ({ word: one.name(), meaning: one.summary() || one.description() }));
  }
  const [flag = "", value] = begun.split("=", 2);
  const named = value === undefined ? undefined : optionNamed(command, flag);
  if (named) return choicesOf(named, `${flag}=`);
  const options = withAncestors(command).flatMap((one) => one.options.filter(({ hidden }) => !hidden));
  return [
    ...options.map(({ long, short, description }) => ({ word: long ?? short ?? "", meaning: description })),
    { word: "--help", meaning: "display help for command" },
  ];
}

const choicesOf = ({ argChoices = [], description }: Option, before: string): Suggestion[] =>
  argChoices.map((choice) => ({ word: `${before}${choice}`, meaning: description }));

/** The option, if it takes the next word as its value. */
function valueOption(command: Command, flag: string): Option | undefined {
  const option = optionNamed(command, flag);
  return option?.required ? option : undefined;
}

function optionNamed(command: Command, flag: string): Option | undefined {
  return withAncestors(command)
    .flatMap((one) => [...one.options])
    .find(({ long, short }) => flag === long || flag === short);
}

function withAncestors(command: Command): Command[] {
  const found: Command[] = [];
  for (let one: Command | null = command; one !== null; one = one.parent) found.push(one);
  return found;
}

/** The shells that have a script. */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;
export type Shell = (typeof SHELLS)[number];

/**
 * A shell's script. It asks this program for the words, one a line with its meaning after a tab. If there is none, the
 * shell completes files.
 */
export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# bash completion for cryptoki
_cryptoki() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <("\${COMP_WORDS[0]}" completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -o bashdefault -F _cryptoki cryptoki
`,
  zsh: `#compdef cryptoki
# zsh completion for cryptoki
_cryptoki() {
  local line
  local -a found
  while IFS= read -r line; do
    found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <("\${words[1]}" completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe 'cryptoki' found; else _files; fi
}
compdef _cryptoki cryptoki
`,
  fish: `# fish completion for cryptoki
function __cryptoki_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] completion words -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c cryptoki -f -a '(__cryptoki_complete)'
`,
  powershell: `# PowerShell completion for cryptoki
Register-ArgumentCompleter -Native -CommandName cryptoki -ScriptBlock {
  param($begun, $line, $position)
  $words = @($line.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  if ($begun -eq '') { $words += '""' }
  & cryptoki completion words -- @words 2>$null | ForEach-Object {
    $word, $meaning = $_ -split "\`t", 2
    [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $meaning)
  }
}
`,
};
