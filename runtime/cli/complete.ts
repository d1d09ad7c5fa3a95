import type { Command } from 'commander';
import { EXPLAINABLE } from './explain.ts';
import { ownMethod, ownMethodNames } from './method.ts';
import { memberPaths } from './parameters.ts';

/**
 * What may stand where the last of `words` (possibly empty) begins. Nothing where a file name is expected: the shell
 * knows those itself.
 */
export function complete(program: Command, words: readonly string[]): string[] {
  const before = words.slice(0, -1);
  const current = words.at(-1) ?? '';
  let command = program;
  const rest = [...before];
  for (let sub = find(command, rest[0]); sub !== undefined; sub = find(command, rest[0])) {
    command = sub;
    rest.shift();
  }
  return candidates(command, rest, current).filter((answer) => answer.startsWith(current));
}

function find(command: Command, name: string | undefined): Command | undefined {
  return command.commands.find((sub) => sub.name() === name && !name.startsWith('__'));
}

function candidates(command: Command, words: readonly string[], current: string): string[] {
  if (current.startsWith('-')) {
    return [...command.options, command.createOption('-h, --help')].flatMap(({ long }) => long ?? []);
  }
  if (command.options.some(({ long, required }) => required && long === words.at(-1))) return [];
  const given = words.filter(
    (word, index) => !word.startsWith('-') && !takesValue(command, words[index - 1]),
  );
  if (command.commands.length > 0) {
    return command.commands.map((sub) => sub.name()).filter((name) => !name.startsWith('__'));
  }
  const [argument] = command.registeredArguments;
  if (given.length === 0 && argument?.argChoices !== undefined) return [...argument.argChoices];
  switch (command.name()) {
    case 'call':
    case 'explain':
      if (given.length === 0) return command.name() === 'call' ? ownMethodNames() : [...EXPLAINABLE];
      return parameterWords(given[0] ?? '', given.slice(1), current);
    default:
      return [];
  }
}

function takesValue(command: Command, word: string | undefined): boolean {
  return command.options.some(({ long, required }) => required && long === word);
}

/** "hardBytes=" and the rest of the method's parameters; after the "=", the values of an enumeration or of a bool. */
function parameterWords(name: string, given: readonly string[], current: string): string[] {
  const method = ownMethod(name);
  if (method === undefined) return [];
  const taken = new Set(given.map((word) => word.slice(0, word.indexOf('='))));
  const members = memberPaths(method.idl, method.input).map(({ names, type }) => ({
    key: names.join('.'),
    type,
  }));
  const equals = current.indexOf('=');
  if (equals === -1) {
    return members.filter(({ key }) => key !== 'version' && !taken.has(key)).map(({ key }) => `${key}=`);
  }
  const key = current.slice(0, equals);
  const type = members.find((member) => member.key === key)?.type;
  const values = type?.kind === 'enum' ? type.values : type?.kind === 'bool' ? ['true', 'false'] : [];
  return values.map((value) => `${key}=${value}`);
}
