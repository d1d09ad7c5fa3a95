import type { Func } from '../../runtime/sandbox/abi/signature.ts';
import { kebab, type Shape } from '../../runtime/sandbox/abi/type.ts';
import { HOOKS, IMPORTS, PACKAGE, TYPES, VERSION } from '../../runtime/sandbox/abi/world.ts';

/** WIT lets no function share a type's name, so two types come under another one there. */
const ALIASES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  subject: { label: 'named-label' },
  target: { memlock: 'memlock-limits' },
};

/** The descriptors of `runtime/sandbox/abi/world.ts` as WIT. */
export function witText(): string {
  const interfaces = Object.entries<Record<string, Func>>({ ...IMPORTS, hooks: HOOKS });
  return [
    `package ${PACKAGE}@${VERSION};`,
    `interface types {\n${TYPES.map(definition).join('\n')}\n}`,
    ...interfaces.map(([name, funcs]) => interfaceText(kebab(name), funcs)),
    'world policy {',
    ...Object.keys(IMPORTS).map((name) => `  import ${kebab(name)};`),
    '  export hooks;',
    '}',
    '',
  ].join('\n');
}

function interfaceText(name: string, funcs: Record<string, Func>): string {
  const aliases = ALIASES[name] ?? {};
  const used = new Set<string>();
  const reference = (shape: Shape): string => {
    switch (shape.kind) {
      case 'list':
      case 'option':
        return `${shape.kind}<${reference(shape.of)}>`;
      case 'failure':
        return `result<_, ${reference(shape.of)}>`;
      case 'enum':
      case 'record':
      case 'variant':
        used.add(shape.name);
        return aliases[shape.name] ?? shape.name;
      default:
        return shape.kind;
    }
  };
  const lines = Object.entries(funcs).map(([func, { params, result }]) => {
    const list = params.map((param) => `${kebab(param.name)}: ${reference(param.of)}`).join(', ');
    return `  ${kebab(func)}: func(${list})${result === undefined ? '' : ` -> ${reference(result)}`};`;
  });
  // In alphabetical order, as in deputy.wit: the encoding keeps the order of `use`.
  const uses = TYPES.flatMap((type) => ('name' in type && used.has(type.name) ? [type.name] : []))
    .sort()
    .map((type) => (aliases[type] === undefined ? type : `${type} as ${aliases[type]}`));
  return [
    `interface ${name} {`,
    ...(uses.length > 0 ? [`  use types.{${uses.join(', ')}};`] : []),
    ...lines,
    '}',
  ].join('\n');
}

function definition(shape: Shape): string {
  switch (shape.kind) {
    case 'enum':
      return `  enum ${shape.name} { ${shape.cases.join(', ')} }`;
    case 'record': {
      const fields = shape.fields.map((field) => `${field.name}: ${plain(field.of)}`);
      return `  record ${shape.name} { ${fields.join(', ')} }`;
    }
    case 'variant': {
      const cases = shape.cases.map((one) =>
        one.of === undefined ? one.name : `${one.name}(${plain(one.of)})`,
      );
      return `  variant ${shape.name} { ${cases.join(', ')} }`;
    }
    default:
      throw new TypeError(`${shape.kind} has no name`);
  }
}

function plain(shape: Shape): string {
  switch (shape.kind) {
    case 'list':
    case 'option':
      return `${shape.kind}<${plain(shape.of)}>`;
    case 'failure':
      return `result<_, ${plain(shape.of)}>`;
    case 'enum':
    case 'record':
    case 'variant':
      return shape.name;
    default:
      return shape.kind;
  }
}
