import { equalBytes, fromHex, utf8 } from "../../src/bytes/index.ts";
import {
  type CardApplication,
  type CardObject,
  type CardObjectChanges,
  type CardProfile,
  type CardToken,
  type CardTokenInfo,
  type NewCardObject,
  PinError,
  type PinStatus,
  type PinUser,
  UnsupportedError,
} from "../../src/card/index.ts";
import { CKF, Cryptoki } from "../../src/cryptoki/index.ts";
import { type InProcessCard, MemoryReaders } from "../../src/pcsc/index.ts";
import { first, PIN, READER } from "./rig.ts";

/** A card that says yes to every command. What it is, the token in this process knows. */
const AGREEABLE: InProcessCard = {
  atr: fromHex("3b00"),
  reset: () => undefined,
  transmit: () => Promise.resolve(fromHex("9000")),
};

export interface WritableOptions {
  readonly writeProtected?: boolean;
  /** Its card can write nothing. */
  readonly fixed?: boolean;
  readonly counts?: boolean;
  /** Its card asks for no PIN before it is changed. */
  readonly free?: boolean;
}

/** A token of a card application that exists in these tests only: it keeps what it is told to keep. */
export class WritableToken implements CardToken {
  readonly mechanisms: CardToken["mechanisms"] = [];
  readonly changedBy: PinUser | null;
  readonly kept = new Map<string, CardObject>();
  /** What was written, in words. */
  readonly written: string[] = [];
  readonly createObject?: NonNullable<CardToken["createObject"]>;
  readonly setAttributes?: NonNullable<CardToken["setAttributes"]>;
  readonly destroyObject?: NonNullable<CardToken["destroyObject"]>;
  readonly updateCount?: NonNullable<CardToken["updateCount"]>;
  readonly #options: WritableOptions;
  #next = 1;

  constructor(options: WritableOptions = {}) {
    this.#options = options;
    this.changedBy = options.free ? null : "user";
    if (options.counts) this.updateCount = () => Promise.resolve(Uint8Array.of(this.written.length));
    if (options.fixed) return;
    this.createObject = (object) => this.#create(object);
    this.setAttributes = (object, changes) => this.#change(object, changes);
    this.destroyObject = (object) => {
      this.written.push(`destroy ${object.reference}`);
      this.kept.delete(object.reference);
      return Promise.resolve();
    };
  }

  #create(object: NewCardObject): Promise<CardObject> {
    if (object.label === "too much") return Promise.reject(new UnsupportedError("no room for such a label"));
    const reference = `object ${this.#next++}`;
    this.written.push(`create ${object.class} ${object.label}`);
    const common = { reference, modifiable: true, destroyable: true, isPresent: () => Promise.resolve(true) };
    return Promise.resolve(this.#keep(asKept(object, common)));
  }

  #change(object: CardObject, { label, id, value }: CardObjectChanges): Promise<CardObject> {
    this.written.push(`change ${object.reference}`);
    const now = this.kept.get(object.reference) ?? object;
    return Promise.resolve(
      this.#keep({
        ...now,
        label: label ?? now.label,
        id: id ?? now.id,
        ...(value && { value: () => Promise.resolve(value) }),
      }),
    );
  }

  #keep(object: CardObject): CardObject {
    this.kept.set(object.reference, object);
    return object;
  }

  info(): Promise<CardTokenInfo> {
    return Promise.resolve({
      label: "A token with a name that is longer than a label may be",
      manufacturer: "",
      model: "",
      serialNumber: "12345678901234567890",
      pin: { label: "PIN", minLength: 4, maxLength: 12 },
      application: "PKCS #15",
      ...(this.#options.writeProtected && { writeProtected: true }),
    });
  }

  objects(): Promise<readonly CardObject[]> {
    return Promise.resolve([...this.kept.values()]);
  }

  pinStatus(): Promise<PinStatus> {
    return Promise.resolve({ triesLeft: 3, maxTries: 3, verified: false });
  }

  login(_user: PinUser, pin: Uint8Array): Promise<void> {
    return equalBytes(pin, utf8(PIN)) ? Promise.resolve() : Promise.reject(new PinError("incorrect", "wrong"));
  }

  logout(): Promise<void> {
    return Promise.resolve();
  }

  use(): Promise<Uint8Array> {
    return Promise.reject(new UnsupportedError("no keys"));
  }
}

type Common = Pick<CardObject, "reference" | "modifiable" | "destroyable" | "isPresent">;

function asKept(object: NewCardObject, common: Common): CardObject {
  switch (object.class) {
    case "data":
      return { ...common, ...object, id: new Uint8Array(), value: () => Promise.resolve(object.value) };
    case "certificate":
      return { ...common, ...object, value: () => Promise.resolve(object.value) };
    case "public-key":
      return { ...common, ...object, publicKey: () => Promise.resolve(object.publicKey) };
    case "private-key":
      throw new UnsupportedError("no private keys");
  }
}

/** Applications that share one card of this kind. */
export class WritableRig implements AsyncDisposable {
  readonly token: WritableToken;
  readonly #readers = new MemoryReaders();
  readonly #pcsc = this.#readers.client();
  readonly one: Cryptoki;
  readonly other: Cryptoki;

  constructor(options: WritableOptions = {}) {
    this.token = new WritableToken(options);
    const application: CardApplication = { profile: "pkcs15", tokens: [this.token] };
    const profile: CardProfile = { name: "pkcs15", claim: () => Promise.resolve(application) };
    this.#readers.plug(READER);
    this.#readers.insert(READER, AGREEABLE);
    this.one = new Cryptoki({ pcsc: this.#pcsc, profiles: [profile] });
    this.other = new Cryptoki({ slots: this.one.slots });
  }

  async session(cryptoki = this.one, flags: number = CKF.RW_SESSION): Promise<number> {
    return cryptoki.C_OpenSession(first(await cryptoki.C_GetSlotList(true)), CKF.SERIAL_SESSION | flags);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.other[Symbol.asyncDispose]();
    await this.one[Symbol.asyncDispose]();
    await this.#pcsc.close();
  }
}

export async function writableRig(options: WritableOptions = {}): Promise<WritableRig> {
  const made = new WritableRig(options);
  await made.one.C_Initialize();
  await made.other.C_Initialize();
  return made;
}

export async function find(
  cryptoki: Cryptoki,
  session: number,
  template: Parameters<Cryptoki["C_FindObjectsInit"]>[1],
): Promise<number[]> {
  await cryptoki.C_FindObjectsInit(session, template);
  const found = await cryptoki.C_FindObjects(session);
  await cryptoki.C_FindObjectsFinal(session);
  return found;
}
