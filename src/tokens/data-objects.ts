import { DerReader, derOid } from "../asn1/index.ts";
import type { CallOptions } from "../async/index.ts";
import { DataError, tryParse, wipe } from "../bytes/index.ts";
import { type CK_OBJECT_HANDLE, CKA, CKO, CKR, CryptokiError, type Template } from "../cryptoki/index.ts";
import { copyBytes } from "./data-input.ts";
import type { TokenAccess } from "./access.ts";
import { checked, TokenError } from "./error.ts";
import { requireDescription } from "./descriptions.ts";
import { replacing, type WriteSession } from "./replacing.ts";
import type { Writer } from "./writer.ts";

/** Which data object is wanted: all that is given must be true of it. */
export interface DataQuery {
  /** CKA_LABEL. */
  readonly label?: string;
  /** CKA_APPLICATION. */
  readonly application?: string;
  /** CKA_OBJECT_ID, dotted: "2.16.840.1.101.3.7.2.48.0". */
  readonly objectId?: string;
}

/** Where a data object goes. */
export interface DataPlace extends DataQuery {
  /** Whether it is read after a login only. Default: as the token has it. */
  readonly private?: boolean;
  /** Whether one with the same label, application and object identifier may be overwritten; default: false. */
  readonly replace?: boolean;
}

/** A data object of a token. */
export interface DataObject {
  readonly label: string;
  readonly application: string;
  /** CKA_OBJECT_ID, dotted; undefined if it has none. */
  readonly objectId: string | undefined;
  /** Its value. The PIN is asked for where the token wants it. */
  readonly read: (options?: CallOptions) => Promise<Uint8Array>;
}

/** The data objects of a token. */
export class DataObjects {
  readonly #access: TokenAccess;
  readonly #writer: Writer;

  /** @internal */
  constructor(access: TokenAccess, writer: Writer) {
    this.#access = access;
    this.#writer = writer;
  }

  /** The data objects that fit. Private ones are found after a login. */
  async *find(query: DataQuery = {}, options: CallOptions = {}): AsyncGenerator<DataObject> {
    const { signal } = checked(options);
    requireDescription(query, "a data object", TEXTS);
    const template = templateOf(query);
    const access = this.#access;
    const found = await access.inSession(async (session) => {
      const objects: DataObject[] = [];
      for (const object of await access.find(session, template, signal)) {
        const known = await access.known(session, object, [CKA.LABEL, CKA.APPLICATION, CKA.OBJECT_ID], signal);
        const { [CKA.LABEL]: label = "", [CKA.APPLICATION]: application = "", [CKA.OBJECT_ID]: oid } = known;
        objects.push(this.#object({ label, application, ...readOid(oid) }));
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

  #object(query: DataQuery): DataObject {
    const { label = "", application = "", objectId } = query;
    return { label, application, objectId, read: (options) => this.#read(query, options) };
  }

  /**
   * Writes a data object to the token.
   * A PIV card has fixed data objects, which their labels or object identifiers name.
   * @throws {TokenError} BAD_INPUT; OBJECT_EXISTS without `replace` if there is one already; CKR_USER_NOT_LOGGED_IN if only the security
   *   officer may write.
   */
  async put(value: Uint8Array, options: DataPlace & CallOptions): Promise<DataObject> {
    const { signal, ...place } = checked(options);
    const own = copyBytes(value, "the value");
    requireDescription(place, "a data object", TEXTS);
    const { label, application, objectId } = place;
    const query = {
      ...(label !== undefined && { label }),
      ...(application !== undefined && { application }),
      ...(objectId !== undefined && { objectId }),
    };
    const template = templateOf(query);
    if (Object.keys(query).length === 0)
      throw new TokenError("BAD_INPUT", "name the data object: label, application or objectId");
    const access = this.#access;
    const { cryptoki } = access;
    return this.#writer.write(async (session) => {
      const [present, ...others] = await access.find(session, template, signal);
      if (present !== undefined && others.length === 0 && place.replace === true) {
        const isChanged = await this.#change({ access, session, signal }, present, own);
        if (isChanged) return this.#object(query);
      }
      await replacing({ access, session, signal }, [template], place.replace, async () => {
        const attributes = {
          ...template,
          [CKA.TOKEN]: true,
          ...(place.private !== undefined && { [CKA.PRIVATE]: place.private }),
          [CKA.VALUE]: own,
        };
        return [await cryptoki.C_CreateObject(session, attributes, { signal })];
      });
      return this.#object(query);
    }, signal);
  }

  /** Changes the value of an object in one step, where the token does that. */
  async #change(
    { access, session, signal }: WriteSession,
    object: CK_OBJECT_HANDLE,
    value: Uint8Array,
  ): Promise<boolean> {
    const { [CKA.MODIFIABLE]: isModifiable } = await access.known(session, object, [CKA.MODIFIABLE], signal);
    if (isModifiable !== true) return false;
    try {
      await access.cryptoki.C_SetAttributeValue(session, object, { [CKA.VALUE]: value }, { signal });
      return true;
    } catch (error) {
      if (error instanceof CryptokiError && error.is("CKR_ATTRIBUTE_READ_ONLY")) return false;
      throw error;
    }
  }

  /** Deletes a data object. @throws {TokenError} NO_OBJECT; SEVERAL_OBJECTS if others have the same names. */
  async delete(object: DataQuery, options: CallOptions = {}): Promise<void> {
    const { signal } = checked(options);
    requireDescription(object, "a data object", TEXTS);
    const template = templateOf(object);
    const access = this.#access;
    return this.#writer.write(async (session) => {
      const [only, ...others] = await access.find(session, template, signal);
      if (others.length > 0) throw new TokenError("SEVERAL_OBJECTS", "several data objects have these names");
      if (only !== undefined) {
        await access.cryptoki.C_DestroyObject(session, only, { signal });
        return;
      }
      if (this.#writer.asksUser && !(await access.login.isLoggedIn())) throw new CryptokiError(CKR.USER_NOT_LOGGED_IN);
      throw new TokenError("NO_OBJECT", "the data object is not on the token");
    }, signal);
  }

  async #read(query: DataQuery, options: CallOptions = {}): Promise<Uint8Array> {
    const { signal } = checked(options);
    const { login } = this.#access;
    try {
      return await this.#value(query, signal);
    } catch (error) {
      const isHidden = error instanceof TokenError && error.is("NO_OBJECT", "CKR_USER_NOT_LOGGED_IN");
      if (!isHidden || !this.#writer.asksUser) throw error;
    }
    return this.#access.asUser(async () => {
      const pin = await login.ensure(undefined, signal);
      if (pin) wipe(pin);
      return this.#value(query, signal);
    }, signal);
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

const TEXTS = ["label", "application", "objectId"] as const;

/** @throws {TokenError} BAD_INPUT for an object identifier that is none. */
function templateOf({ label, application, objectId }: DataQuery): Template {
  return {
    [CKA.CLASS]: CKO.DATA,
    ...(label !== undefined && { [CKA.LABEL]: label }),
    ...(application !== undefined && { [CKA.APPLICATION]: application }),
    ...(objectId !== undefined && { [CKA.OBJECT_ID]: encoded(objectId) }),
  };
}

function encoded(objectId: string): Uint8Array {
  try {
    return derOid(objectId);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new TokenError("BAD_INPUT", `objectId is an object identifier such as 2.5.4.3; "${objectId}" is not`, {
      cause,
    });
  }
}

function readOid(der: Uint8Array | undefined): { readonly objectId?: string } {
  if (!der || der.length === 0) return {};
  const objectId = tryParse(() => new DerReader(der, "CKA_OBJECT_ID").oid());
  return objectId === undefined ? {} : { objectId };
}
