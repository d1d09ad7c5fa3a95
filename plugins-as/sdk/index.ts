// asc resolves `@deputy/sdk-as` to this file, since it reads no package.json.
export * from './assembly/index';
