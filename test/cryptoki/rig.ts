import { toHex } from "../../src/bytes/index.ts";
import { CKA, CKF, CKO, CKU, Cryptoki, type Template } from "../../src/cryptoki/index.ts";
import type { CardProfile } from "../../src/card/index.ts";
import { type InProcessCard, MemoryReaders, type Pcsc } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
import { turns } from "../until.ts";

export const READER = "Memory Reader";
export const PIN = "123456";

/** A facade over readers of this process, with a log of what crosses the wire and hooks to disturb it. */
export class Rig implements AsyncDisposable {
  readonly readers = new MemoryReaders();
  readonly pcsc: Pcsc = this.readers.client({ patience: 300 });
  readonly cryptoki: Cryptoki;
  /** Commands that reached a card, hexadecimal. */
  readonly commands: string[] = [];
  /** Runs before a command reaches the card; the first of them is number 1. */
  before: ((command: Uint8Array, number: number) => Promise<void> | void) | undefined;

  constructor(profiles: readonly CardProfile[] = [piv]) {
    this.cryptoki = new Cryptoki({ pcsc: this.pcsc, profiles });
  }

  /** Puts a card into a reader, which is plugged in if need be. */
  insert(card: InProcessCard, reader = READER): void {
    this.readers.insert(reader, {
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: async (command) => {
        this.commands.push(toHex(command));
        await this.before?.(command, this.commands.length);
        return card.transmit(command);
      },
    });
  }

  /** Commands while `work` runs. */
  async count(work: () => Promise<unknown>): Promise<number> {
    const before = this.commands.length;
    await work();
    return this.commands.length - before;
  }

  /** The only slot with a token. */
  async slot(): Promise<number> {
    return first(await this.cryptoki.C_GetSlotList(true));
  }

  async session(flags: number = CKF.RW_SESSION): Promise<number> {
    return this.cryptoki.C_OpenSession(await this.slot(), CKF.SERIAL_SESSION | flags);
  }

  /** A session with the user logged in. */
  async loggedIn(): Promise<number> {
    const session = await this.session();
    await this.cryptoki.C_Login(session, CKU.USER, PIN);
    return session;
  }

  async find(session: number, template: Template): Promise<number[]> {
    await this.cryptoki.C_FindObjectsInit(session, template);
    const found = await this.cryptoki.C_FindObjects(session);
    await this.cryptoki.C_FindObjectsFinal(session);
    return found;
  }

  /** The object of a class with this CKA_ID. */
  async object(session: number, objectClass: number, id: number): Promise<number> {
    return first(await this.find(session, { [CKA.CLASS]: objectClass, [CKA.ID]: Uint8Array.of(id) }));
  }

  privateKey(session: number, id: number): Promise<number> {
    return this.object(session, CKO.PRIVATE_KEY, id);
  }

  publicKey(session: number, id: number): Promise<number> {
    return this.object(session, CKO.PUBLIC_KEY, id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.before = undefined;
    await this.cryptoki[Symbol.asyncDispose]();
    await this.pcsc.close();
  }
}

/** A rig with C_Initialize called, and a card in its reader if there is one. */
export async function rig(card?: InProcessCard, profiles?: readonly CardProfile[]): Promise<Rig> {
  const made = new Rig(profiles);
  made.readers.plug(READER);
  if (card) made.insert(card);
  await made.cryptoki.C_Initialize();
  return made;
}

export function first<T>(values: readonly T[]): T {
  const [value] = values;
  if (value === undefined) throw new Error("nothing found");
  return value;
}

/** Until what was made to happen has been told to everybody in this process. */
export function settled(): Promise<void> {
  return turns(20);
}

/** For `rejects.toMatchObject`: a CryptokiError with this code. */
export function refusal(name: string): { readonly code: string } {
  return { code: `CKR_${name}` };
}
