import type { CallOptions } from "../async/index.ts";
import { wipe } from "../bytes/index.ts";
import { CKA, CKO, type Template } from "../cryptoki/index.ts";
import type { TokenAccess } from "./access.ts";
import { checked, TokenError } from "./error.ts";
import { requireDescription } from "./keys.ts";

/** Which data object is wanted: all that is given must be true of it. */
export interface DataQuery {
  /** CKA_LABEL. */
  readonly label?: string;
  /** CKA_APPLICATION. */
  readonly application?: string;
}

/** A data object of a token. */
export interface DataObject {
  readonly label: string;
  readonly application: string;
  /** Its value. The PIN is asked for where the token wants it. */
  readonly read: (options?: CallOptions) => Promise<Uint8Array>;
}

/** The data objects of a token. */
export class DataObjects {
  readonly #access: TokenAccess;

  /** @internal */
  constructor(access: TokenAccess) {
    this.#access = access;
  }

  /** The data objects that fit. Private ones are found after a login. */
  async *find(query: DataQuery = {}, options: CallOptions = {}): AsyncGenerator<DataObject> {
    const { signal } = checked(options);
    requireDescription(query, "a data object", ["label", "application"]);
    const access = this.#access;
    const found = await access.inSession(async (session) => {
      const objects: DataObject[] = [];
      for (const object of await access.find(session, templateOf(query), signal)) {
        const known = await access.known(session, object, [CKA.LABEL, CKA.APPLICATION], signal);
        const { [CKA.LABEL]: label = "", [CKA.APPLICATION]: application = "" } = known;
        objects.push({ label, application, read: (options) => this.#read({ label, application }, options) });
      }
      return objects;
    }, signal);
    yield* found;
  }

  /** The only data object that fits. @throws {TokenError} NO_OBJECT, SEVERAL_OBJECTS. */
  async get(query: DataQuery, options: CallOptions = {}): Promise<DataObject> {
    const found: DataObject[] = [];
    for await (const object of this.find(query, options)) found.push(object);
    const [only, ...others] = found;
    if (!only) throw new TokenError("NO_OBJECT", "no data object on the token fits the query");
    if (others.length === 0) return only;
    throw new TokenError("SEVERAL_OBJECTS", `${found.length} data objects fit the query; describe one of them`, {
      candidates: found.map(({ label, application }) => `${application}: ${label}`),
    });
  }

  async #read(query: DataQuery, options: CallOptions = {}): Promise<Uint8Array> {
    const { signal } = checked(options);
    const { login } = this.#access;
    try {
      return await this.#value(query, signal);
    } catch (error) {
      const isHidden = error instanceof TokenError && error.is("NO_OBJECT", "CKR_USER_NOT_LOGGED_IN");
      if (!isHidden || !login.canAsk) throw error;
    }
    const pin = await this.#access.run(() => login.ensure(undefined, signal), signal);
    if (pin) wipe(pin);
    return this.#value(query, signal);
  }

  #value(query: DataQuery, signal?: AbortSignal): Promise<Uint8Array> {
    const access = this.#access;
    return access.inSession(async (session) => {
      const [object, ...others] = await access.find(session, templateOf(query), signal);
      const name = `the data object "${query.label ?? ""}"`;
      if (object === undefined) throw new TokenError("NO_OBJECT", `${name} is gone`);
      if (others.length > 0)
        throw new TokenError("SEVERAL_OBJECTS", `${name} shares its label and application with others`);
      return (await access.cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE], { signal }))[CKA.VALUE];
    }, signal);
  }
}

function templateOf({ label, application }: DataQuery): Template {
  return {
    [CKA.CLASS]: CKO.DATA,
    ...(label !== undefined && { [CKA.LABEL]: label }),
    ...(application !== undefined && { [CKA.APPLICATION]: application }),
  };
}
