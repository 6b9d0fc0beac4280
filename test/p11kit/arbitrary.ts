import fc, { type Arbitrary } from "fast-check";
import { CK, CKA, kindOf } from "../../src/cryptoki/index.ts";
import { TEMPLATE, type Wanted, WANTED } from "../../src/p11kit/wire/attribute.ts";
import { attributeForm } from "../../src/p11kit/wire/attribute-value.ts";
import { type Call, CALLS } from "../../src/p11kit/wire/calls.ts";
import {
  BOOLEAN,
  BYTES,
  type Dialect,
  type Field,
  LABEL,
  OPTIONAL_BYTES,
  PIN,
  ULONG,
  VERSION,
} from "../../src/p11kit/wire/values.ts";
import type { ParameterForm } from "../../src/cryptoki/index.ts";
import { formOf, MECHANISM, type WireMechanism } from "../../src/p11kit/wire/mechanism.ts";
import type { Reply, Request } from "../../src/p11kit/wire/message.ts";

/** What the versions of p11-kit that there are offer. */
export const DIALECTS: readonly Dialect[] = [{ offered: 0 }, { offered: 1 }, { offered: 2 }];
export const dialect: Arbitrary<Dialect> = fc.constantFrom(...DIALECTS);

const ulong = fc.oneof(
  fc.nat(70_000),
  fc.maxSafeNat(),
  fc.constantFrom(0, 2 ** 32, CK.UNAVAILABLE_INFORMATION, Number.MAX_SAFE_INTEGER),
);
const bytes = fc.uint8Array({ maxLength: 40 });
const optional = fc.option(bytes, { nil: null });
/** As it stands in a structure: without blanks at the end. */
const short = fc.string({ unit: "grapheme-ascii", maxLength: 16 }).map((text) => text.trimEnd());
const day = fc
  .date({ min: new Date("0000-01-01T00:00:00Z"), max: new Date("9999-12-31T00:00:00Z"), noInvalidDate: true })
  .map((date) => new Date(date.toISOString().slice(0, 10)));

const types: readonly number[] = [...new Set(Object.values(CKA)), 0x80000123];

function value(type: number): Arbitrary<unknown> {
  switch (kindOf(type)) {
    case "boolean":
      return fc.boolean();
    case "number":
      return ulong;
    case "text":
      return fc.string({ unit: "grapheme", maxLength: 20 });
    case "date":
      return fc.option(day, { nil: null });
    case "mechanisms":
      return fc.array(ulong, { maxLength: 5 });
    case "template":
      return fc.constant({}).chain(() => inner);
    case "bytes":
      return bytes;
  }
}

const flat = types.filter((type) => kindOf(type) !== "template");
const entriesOf = (from: readonly number[]): Arbitrary<object> =>
  fc
    .uniqueArray(
      fc.constantFrom(...from).chain((type) => fc.tuple(fc.constant(type), value(type))),
      {
        maxLength: 6,
        selector: ([type]) => type,
      },
    )
    .map((entries) => Object.fromEntries(entries) as object);
const inner = entriesOf(flat);

/** A template that a client of this version can send. */
export const template = ({ offered }: Dialect): Arbitrary<object> =>
  entriesOf(types.filter((type) => kindOf(type) !== "template" || attributeForm(type, offered) === "template"));

const parameter: Readonly<Partial<Record<ParameterForm, Arbitrary<unknown>>>> = {
  none: fc.constant(undefined),
  pss: fc.record({ hashAlg: ulong, mgf: ulong, sLen: ulong }),
  oaep: fc.record({ hashAlg: ulong, mgf: ulong, source: ulong, pSourceData: bytes }),
  ecdh1: fc.record({ kdf: ulong, pSharedData: bytes, pPublicData: bytes }),
  iv16: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  iv8: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  ctr: fc.record({ ulCounterBits: ulong, cb: fc.uint8Array({ minLength: 16, maxLength: 16 }) }),
  gcm: fc.record({ pIv: bytes, ulIvBits: ulong, pAAD: bytes, ulTagBits: ulong }),
  length: ulong,
  bytes,
};

/** A mechanism that p11-kit of this version passes on, with its parameter. */
function mechanism({ offered }: Dialect): Arbitrary<WireMechanism> {
  const passed = Array.from({ length: 0x2200 }, (_, type) => type).filter((type) => formOf(type, offered));
  return fc.constantFrom(...passed).chain((type) => {
    const form = formOf(type, offered) ?? "none";
    return (parameter[form] ?? fc.constant(undefined)).map((given) =>
      given === undefined ? { mechanism: type } : { mechanism: type, parameter: given },
    );
  });
}

const wanted = ({ offered }: Dialect): Arbitrary<readonly Wanted[]> =>
  fc.array(
    fc.record({ type: fc.constantFrom(...types), room: fc.nat(100) }).chain((one): Arbitrary<Wanted> => {
      if (offered < 1 || one.room === 0 || attributeForm(one.type, offered) !== "template") return fc.constant(one);
      const nested = fc.array(fc.record({ type: fc.constantFrom(...flat), room: fc.nat(50) }), { maxLength: 3 });
      return nested.map((list) => ({ ...one, nested: list }));
    }),
    { maxLength: 8 },
  );

function argument(field: Field<unknown>, spoken: Dialect): Arbitrary<unknown> {
  switch (field) {
    case ULONG:
      return ulong;
    case BOOLEAN:
      return fc.boolean();
    case VERSION:
      return fc.record({ major: fc.nat(255), minor: fc.nat(255) });
    case BYTES:
      return bytes;
    case OPTIONAL_BYTES:
    case PIN:
      return optional;
    case MECHANISM:
      return fc.option(mechanism(spoken), { nil: null, freq: 8 });
    case TEMPLATE:
      return template(spoken);
    case LABEL:
      return short;
    case WANTED:
      return wanted(spoken);
    default:
      return short;
  }
}

/** Any request, with arguments of the right kinds. */
export function request(spoken: Dialect, call: Arbitrary<Call> = fc.constantFrom(...CALLS)): Arbitrary<Request> {
  return call.chain((one) =>
    fc.record({ room: fc.nat(100_000), wanted: wanted(spoken) }).chain(({ room, wanted: list }) => {
      const args = one.request.flatMap((part): Arbitrary<unknown>[] => {
        if (part.role === "argument") return [argument(part.field, spoken)];
        if (part.role === "amount") return [fc.constant(room)];
        return part.role === "wanted" ? [fc.constant([...new Set(list.map(({ type }) => type))])] : [];
      });
      const asks = one.request.some(({ role }) => role === "room" || role === "amount");
      const tells = one.request.some(({ role }) => role === "wanted");
      return fc.tuple(...args).map((given) => ({
        call: one,
        args: given,
        room: asks ? room : 0,
        wanted: tells ? list : [],
      }));
    }),
  );
}

const needed = fc.record({ needed: fc.nat(1_000_000) });
const handle = ulong;

/** Any reply to a request, in the right shape. */
export function reply({ call, args }: Request, spoken: Dialect): Arbitrary<Reply> {
  const { result } = call;
  const kind = <const Kind extends Reply["kind"]>(name: Kind): Arbitrary<Kind> => fc.constant(name);
  switch (result.kind) {
    case "nothing":
      return fc.record({ kind: kind("nothing") });
    case "number":
      return fc.record({ kind: kind("number"), value: handle });
    case "structure": {
      const fields = result.fields.map(([name, field]) => [name, argument(field, spoken)] as const);
      return fc.record({ kind: kind("structure"), value: fc.record(Object.fromEntries(fields)) });
    }
    case "bytes":
      return fc.record({ kind: kind("bytes"), value: fc.oneof(fc.record({ bytes }), needed) });
    case "list":
      return fc.record({ kind: kind("list"), value: fc.oneof(fc.record({ list: fc.array(ulong) }), needed) });
    case "key pair":
      return fc.record({ kind: kind("key pair"), publicKey: handle, privateKey: handle });
    case "attributes":
      return fc.record({
        kind: kind("attributes"),
        attributes: fc.constant([]),
        rv: fc.constantFrom(0, 0x11, 0x12, 0x150),
      });
    case "derived key": {
      const mechanism = args[1] as WireMechanism;
      return fc.record({
        kind: kind("derived key"),
        mechanism: fc.constant({ mechanism: mechanism.mechanism }),
        key: handle,
      });
    }
  }
}
