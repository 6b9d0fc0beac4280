import { DataError } from "../bytes/index.ts";

/**
 * Reads the fields of an untrusted JSON object: each must be present and of its type, and no others. Every error is a
 * {@link DataError} that names the field by its path.
 */
export class JsonFields {
  readonly #fields: Map<string, unknown>;
  readonly #path: string;

  /** @param path Name of the object, for messages. */
  constructor(value: unknown, path: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new DataError(`${path}: not an object`);
    this.#fields = new Map(Object.entries(value));
    this.#path = path;
  }

  /** Parses JSON `text` that is an object. */
  static parse(text: string, path: string): JsonFields {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      // The engine's message repeats a part of the text, which may be a key.
      throw new DataError(`${path}: not JSON`, cause instanceof RangeError ? { cause } : {});
    }
    return new JsonFields(value, path);
  }

  string(name: string): string {
    const value = this.#take(name);
    if (typeof value !== "string") throw new DataError(`${this.#path}.${name}: not a string`);
    return value;
  }

  boolean(name: string): boolean {
    const value = this.#take(name);
    if (typeof value !== "boolean") throw new DataError(`${this.#path}.${name}: not true or false`);
    return value;
  }

  /** An integer from `min` to `max`. */
  integer(name: string, min: number, max: number): number {
    const value = this.#take(name);
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw new DataError(`${this.#path}.${name}: not an integer from ${min} to ${max}`);
    }
    return value;
  }

  /** One of `choices`; `missing`, if it is given, for an absent field. */
  oneOf<T extends string>(name: string, choices: readonly T[], missing?: T): T {
    if (missing !== undefined && !this.#fields.has(name)) return missing;
    const value = this.#take(name);
    const choice = choices.find((candidate) => candidate === value);
    if (choice === undefined) throw new DataError(`${this.#path}.${name}: not one of ${choices.join(", ")}`);
    return choice;
  }

  /** A list of some of `choices`; empty if the field is absent. */
  optionalList<T extends string>(name: string, choices: readonly T[]): readonly T[] {
    if (!this.#fields.has(name)) return [];
    const value = this.#take(name);
    if (!Array.isArray(value)) throw new DataError(`${this.#path}.${name}: not a list`);
    return value.map((item: unknown) => {
      const choice = choices.find((candidate) => candidate === item);
      if (choice === undefined) throw new DataError(`${this.#path}.${name}: not one of ${choices.join(", ")}`);
      return choice;
    });
  }

  /** Undefined if the field is absent. */
  optionalObject(name: string): JsonFields | undefined {
    return this.#fields.has(name) ? this.object(name) : undefined;
  }

  object(name: string): JsonFields {
    return new JsonFields(this.#take(name), `${this.#path}.${name}`);
  }

  /** Names of the unread fields, for an object used as a table. */
  names(): readonly string[] {
    return [...this.#fields.keys()];
  }

  /** Throws unless every field was read. */
  end(): void {
    const [left] = this.#fields.keys();
    if (left !== undefined) throw new DataError(`${this.#path}: unknown field "${left}"`);
  }

  #take(name: string): unknown {
    if (!this.#fields.has(name)) throw new DataError(`${this.#path}: no field "${name}"`);
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    return value;
  }
}
