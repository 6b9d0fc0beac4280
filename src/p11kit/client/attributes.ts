import { AttributeError, type AttributeValue, CKR, CryptokiError, type Template } from "../../cryptoki/index.ts";
import { isReadable, type WireAttribute, type Wanted } from "../wire/attribute.ts";
import { ATTRIBUTE_LENGTH, type AttributeForm, attributeForm } from "../wire/attribute-value.ts";
import type { Dialect } from "../wire/values.ts";
import type { Reply } from "../wire/message.ts";

/** Bytes reserved for each attribute, enough for most: asking for lengths first would double the calls. */
const ROOM: Readonly<Record<AttributeForm, number>> = {
  byte: 1,
  ulong: 8,
  date: 8,
  mechanisms: 1024,
  native: 8192,
  // An array attribute, whose contents must be known before room for them can be reserved.
  template: 0,
};
/** The room for an attribute in a template. */
const NESTED_ROOM = 1024;
/** Longest plausible attribute in bytes: a server's word does not decide how much is allocated. */
const LONGEST = 2 ** 28;

/**
 * Reads attributes from a server that needs to know the room for each.
 * @param ask Makes the call once.
 * @throws {AttributeError} if some have no value to return.
 */
export async function fetchAttributes(
  types: readonly number[],
  dialect: Dialect,
  ask: (wanted: readonly Wanted[]) => Promise<Reply>,
): Promise<Template> {
  requireArray(types);
  const values = new Map<number, AttributeValue>();
  let rv: number = CKR.OK;
  const round = async (wanted: readonly Wanted[]): Promise<readonly WireAttribute[]> => {
    // p11-kit's server fails on a request without attributes.
    if (wanted.length === 0) return [];
    const reply = await ask(wanted);
    if (reply.kind !== "attributes" || reply.attributes.length !== wanted.length) throw unlike();
    reply.attributes.forEach(({ type, value }, index) => {
      const asked = wanted[index];
      if (asked?.type !== type) throw unlike();
      if (asked.room > 0 && value !== undefined) values.set(type, value);
    });
    rv = reply.rv;
    return reply.attributes;
  };

  const readable = [...new Set(types)].filter((type) => isReadable(type, dialect));
  await round(readable.map((type) => ({ type, room: ROOM[attributeForm(type, dialect.offered)] })));
  const missing = readable.filter((type) => !values.has(type));
  // If several attributes fail, the error of one may hide that another was too long.
  const unclear =
    rv === CKR.BUFFER_TOO_SMALL || missing.length > 1 || missing.some((type) => isTemplate(type, dialect));
  if (missing.length > 0 && unclear) {
    const lengths = await round(missing.map((type) => ({ type, room: 0 })));
    const there = lengths.flatMap(({ type, length }) => (length === undefined ? [] : [{ type, length }]));
    const said = rv;
    for (const { type } of there.filter(({ length }) => length === 0)) setEmpty(values, type, dialect);
    await round(there.filter(({ length }) => length > 0).map((one) => withRoom(one, dialect)));
    if (said !== CKR.OK) rv = said;
  }
  return complete(types, values, rv);
}

function requireArray(types: unknown): void {
  if (!Array.isArray(types)) throw new CryptokiError(CKR.ARGUMENTS_BAD, "pass the attributes as an array: [CKA.ID]");
}

const unlike = (): CryptokiError =>
  new CryptokiError(CKR.DEVICE_ERROR, "the server's reply has other attributes than the request");

const isTemplate = (type: number, { offered }: Dialect): boolean => attributeForm(type, offered) === "template";

/** @throws {CryptokiError} for an impossible length. */
function withRoom({ type, length }: { readonly type: number; readonly length: number }, dialect: Dialect): Wanted {
  if (length > LONGEST) throw new CryptokiError(CKR.DEVICE_ERROR, `an attribute of ${length} bytes`);
  if (!isTemplate(type, dialect)) return { type, room: length };
  const nested = Array.from({ length: Math.floor(length / ATTRIBUTE_LENGTH) }, () => ({ type: 0, room: NESTED_ROOM }));
  return { type, room: length, nested };
}

/** An empty value is valid, except for attributes of a fixed length. */
function setEmpty(values: Map<number, AttributeValue>, type: number, { offered }: Dialect): void {
  const form = attributeForm(type, offered);
  if (form === "template") values.set(type, {});
  else if (form === "mechanisms") values.set(type, []);
}

function complete(types: readonly number[], values: ReadonlyMap<number, AttributeValue>, rv: number): Template {
  const missing = types.filter((type) => !values.has(type));
  if (missing.length === 0) return Object.fromEntries(values);
  const reason = rv === CKR.ATTRIBUTE_SENSITIVE ? rv : CKR.ATTRIBUTE_TYPE_INVALID;
  throw new AttributeError(values, new Map(missing.map((type) => [type, { rv: reason }])));
}
