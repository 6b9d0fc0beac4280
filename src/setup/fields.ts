import { nearestTo } from "../bytes/index.ts";

/**
 * Fields of a JSON document that people write: each has a reader and its JSON schema, so that what is read and what is documented are the
 * same table. Types follow from the table.
 */

/** A document is not what its table says. The message names the place: "keys[0].slot". */
export class PlanError extends Error {
  override readonly name = "PlanError";
}

/** Reads one value, found at `path`. */
export interface Field<T> {
  readonly schema: Readonly<Record<string, unknown>>;
  readonly read: (value: unknown, path: string) => T;
}

/** A field of an object: what it means, and whether it may be left out. */
export interface Member<T, Optional extends boolean = boolean> extends Field<T> {
  readonly meaning: string;
  readonly optional: Optional;
}

type Members = Readonly<Record<string, Member<unknown>>>;

type Read<M extends Members> = {
  readonly [K in keyof M as M[K] extends Member<unknown, false> ? K : never]: M[K] extends Field<infer T> ? T : never;
} & {
  readonly [K in keyof M as M[K] extends Member<unknown, false> ? never : K]?: M[K] extends Field<infer T> ? T : never;
};

/** The type that a field reads. */
export type FieldType<F> = F extends Field<infer T> ? T : never;

export const required = <T>(field: Field<T>, meaning: string): Member<T, false> => ({
  ...field,
  meaning,
  optional: false,
});

export const optional = <T>(field: Field<T>, meaning: string): Member<T, true> => ({
  ...field,
  meaning,
  optional: true,
});

const wrong = (path: string, what: string): PlanError => new PlanError(`${path === "" ? "the plan" : path}: ${what}`);

/** Text of at least one character. @param form What it must look like, and that in words. */
export function text(form?: RegExp, words = "text"): Field<string> {
  return {
    schema: { type: "string", minLength: 1, ...(form && { pattern: form.source }) },
    read(value, path): string {
      if (typeof value === "string" && value !== "" && (form?.test(value) ?? true)) return value;
      throw wrong(path, `it is ${words}`);
    },
  };
}

export const flag: Field<boolean> = {
  schema: { type: "boolean" },
  read(value, path): boolean {
    if (typeof value === "boolean") return value;
    throw wrong(path, "it is true or false");
  },
};

export function integer(least: number, most: number): Field<number> {
  return {
    schema: { type: "integer", minimum: least, maximum: most },
    read(value, path): number {
      if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
      throw wrong(path, least === most ? `it is ${least}` : `it is a whole number from ${least} to ${most}`);
    },
  };
}

/** One of some words. */
export function choice<const Word extends string>(...words: readonly Word[]): Field<Word> {
  return {
    schema: { enum: words },
    read(value, path): Word {
      const found = words.find((word) => word === value);
      if (found !== undefined) return found;
      const [nearest] = typeof value === "string" ? nearestTo(value, words) : [];
      throw wrong(path, `it is ${words.join(", ")}${nearest === undefined ? "" : `; did you mean ${nearest}?`}`);
    },
  };
}

/** Words, or one of the other forms. */
export function either<A, B>(first: Field<A>, second: Field<B>): Field<A | B> {
  return {
    schema: { anyOf: [first.schema, second.schema] },
    read: (value, path) => (typeof value === "string" ? first.read(value, path) : second.read(value, path)),
  };
}

export function list<T>(field: Field<T>): Field<readonly T[]> {
  return {
    schema: { type: "array", items: field.schema },
    read(value, path): readonly T[] {
      if (!Array.isArray(value)) throw wrong(path, "it is a list");
      return value.map((one, index) => field.read(one, `${path}[${index}]`));
    },
  };
}

/** An object with these fields and no other. */
export function object<const M extends Members>(members: M): Field<Read<M>> {
  const names = Object.keys(members);
  return {
    schema: {
      type: "object",
      additionalProperties: false,
      required: names.filter((name) => members[name]?.optional === false),
      properties: Object.fromEntries(
        Object.entries(members).map(([name, { schema, meaning }]) => [name, { ...schema, description: meaning }]),
      ),
    },
    read(value, path): Read<M> {
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "it is an object");
      const below = (name: string): string => (path === "" ? name : `${path}.${name}`);
      for (const name of Object.keys(value)) {
        if (names.includes(name)) continue;
        const [nearest] = nearestTo(name, names);
        throw wrong(
          below(name),
          nearest === undefined
            ? `no such field; there are ${names.join(", ")}`
            : `no such field; did you mean ${nearest}?`,
        );
      }
      const given = new Map<string, unknown>(Object.entries(value));
      const found: Record<string, unknown> = {};
      for (const [name, member] of Object.entries(members)) {
        if (given.has(name)) found[name] = member.read(given.get(name), below(name));
        else if (!member.optional) throw wrong(below(name), `it is missing: ${member.meaning}`);
      }
      return found as Read<M>;
    },
  };
}
