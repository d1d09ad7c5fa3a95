/** Shell completion: three thin scripts that ask `deputyctl __complete`, which knows the commands and the interfaces. */
import { Argument, Command } from 'commander';
import { complete } from './complete.ts';
import type { Terminal } from './terminal.ts';

const SCRIPTS = {
  // COMP_WORDBREAKS cuts words at "=", so the line is split at spaces, and answers lose what stands before the "=".
  bash: `_deputyctl() {
  local line=\${COMP_LINE:0:COMP_POINT} words current
  read -ra words <<<"$line"
  [[ $line == *' ' ]] && words+=('')
  current=\${words[\${#words[@]}-1]}
  local prefix=
  [[ $current == *=* ]] && prefix=\${current%"\${current##*=}"}
  mapfile -t COMPREPLY < <(deputyctl __complete -- "\${words[@]:1}" 2>/dev/null)
  COMPREPLY=("\${COMPREPLY[@]#"$prefix"}")
  [[ \${#COMPREPLY[@]} == 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _deputyctl deputyctl
`,
  zsh: `#compdef deputyctl
_deputyctl() {
  local -a found
  found=(\${(f)"$(deputyctl __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#found )); then
    compadd -- \${found:#*=}
    compadd -S '' -- \${(M)found:#*=}
  else
    _files
  fi
}
compdef _deputyctl deputyctl
`,
  fish: `function __deputyctl_complete
  set -l words (commandline -opc) (commandline -ct)
  deputyctl __complete -- $words[2..-1] 2>/dev/null
end
complete -c deputyctl -a '(__deputyctl_complete)'
`,
} as const;

export function completionCommand(terminal: Terminal): Command {
  return new Command('completion')
    .description('print a completion script')
    .addArgument(new Argument('<shell>').choices(Object.keys(SCRIPTS)))
    .addHelpText(
      'after',
      `
Examples:
  deputyctl completion bash > /usr/share/bash-completion/completions/deputyctl
  deputyctl completion zsh > /usr/share/zsh/site-functions/_deputyctl
  deputyctl completion fish > ~/.config/fish/completions/deputyctl.fish`,
    )
    .action((shell: keyof typeof SCRIPTS) => terminal.printRaw(SCRIPTS[shell]));
}

export function completeCommand(terminal: Terminal, program: Command): Command {
  return new Command('__complete').argument('[words...]').action((words: string[]) => {
    for (const answer of complete(program, words)) terminal.print(answer);
  });
}
