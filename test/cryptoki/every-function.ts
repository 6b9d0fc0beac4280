import { utf8 } from "../../src/bytes/index.ts";
import { type CallOptions, CKA, CKD, CKF, CKM, CKU, type Cryptoki } from "../../src/cryptoki/index.ts";
import type { FunctionEntry, ParameterKind } from "../../src/cryptoki/function-entry.ts";
import { CHAPTERS } from "../../src/cryptoki/cryptoki.ts";

/** A function of the facade, and how it is called without knowing which one it is. */
export interface AnyFunction {
  readonly name: string;
  readonly entry: FunctionEntry;
  /** Calls it with arguments of the right kinds; `given` says what stands for a kind, or for a parameter of a name. */
  readonly call: (cryptoki: Cryptoki, given?: Arguments, options?: CallOptions) => Promise<unknown>;
}

export type Arguments = Readonly<Record<string, unknown>>;

/** Arguments that are right in kind and name nothing in particular. */
const USUAL: Readonly<Record<ParameterKind, unknown>> = {
  slot: 0,
  session: 1,
  object: 1,
  key: 1,
  mechanism: { mechanism: CKM.ECDH1_DERIVE, parameter: { kdf: CKD.NULL, pPublicData: new Uint8Array(65) } },
  "mechanism type": CKM.ECDSA,
  pin: "123456",
  template: {},
  "attribute types": [CKA.CLASS],
  flags: CKF.SERIAL_SESSION | CKF.DONT_BLOCK,
  number: 1,
  boolean: false,
  text: "text",
  version: null,
  "user type": CKU.USER,
  bytes: utf8("data"),
  "message parameter": {},
  secret: utf8("123456"),
  value: undefined,
};

/** Every function of every chapter. */
export const EVERY_FUNCTION: readonly AnyFunction[] = CHAPTERS.flatMap(({ functions }) =>
  Object.entries(functions),
).map(([name, entry]) => ({
  name,
  entry,
  call: async (cryptoki, given = {}, options) => {
    const method: unknown = Reflect.get(cryptoki, name);
    if (typeof method !== "function") throw new Error(`no function ${name}`);
    const values: Arguments = { ...USUAL, ...given };
    return Reflect.apply(method, cryptoki, [
      ...entry.parameters.map(([parameter, kind]) => (parameter in given ? given[parameter] : values[kind])),
      ...(options === undefined ? [] : [options]),
    ]) as Promise<unknown>;
  },
}));

/** The function of a name. */
export function theFunction(name: string): AnyFunction {
  const found = EVERY_FUNCTION.find((one) => one.name === name);
  if (!found) throw new Error(`no function ${name}`);
  return found;
}

/** Those that take a parameter of a kind. */
export function functionsWith(kind: ParameterKind): readonly AnyFunction[] {
  return EVERY_FUNCTION.filter(({ entry }) => entry.parameters.some((parameter) => parameter[1] === kind));
}

/** With their names, for test.each. */
export const named = (functions: readonly AnyFunction[]): readonly (readonly [string, AnyFunction])[] =>
  functions.map((one) => [one.name, one]);
