import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { InProcessCard } from "../../../src/pcsc/index.ts";
import { requireLibrary } from "../rig/require.ts";
import type { CardRequest } from "./libcacard-main.ts";
import { type Credential, makeNssDatabase } from "./nss-database.ts";

/** The PIN of the card that {@link startLibcacard} makes, if it is given no other. */
export const CAC_PIN = "123456";

/** What the three certificates of a CAC are for, and who holds this one. */
const CREDENTIALS: readonly Credential[] = [
  { name: "id", subject: "CN=HOLDER.CARD.A.1234567890,OU=Identity,O=Tests" },
  {
    name: "sign",
    subject: "CN=HOLDER.CARD.A.1234567890,OU=Signature,O=Tests",
    keyUsage: "digitalSignature,nonRepudiation",
  },
  { name: "encrypt", subject: "CN=HOLDER.CARD.A.1234567890,OU=Encryption,O=Tests", keyUsage: "keyEncipherment" },
];

/**
 * The card of libcacard (Debian package libcacard0), which QEMU gives its guests: a CAC of another project, with three RSA-2048 keys and
 * empty containers. It goes into a reader of this process (MemoryReaders) as well as into one of pcscd (plugIntoVpcd). Dispose it to
 * end it.
 */
export async function startLibcacard(pin = CAC_PIN): Promise<LibcacardCard> {
  const library = requireLibrary("libcacard.so.0", "libcacard0");
  const folder = await mkdtemp(path.join(os.tmpdir(), "cac-"));
  try {
    const certificates = await makeNssDatabase(folder, pin, CREDENTIALS);
    const names = CREDENTIALS.map(({ name }) => name).join(",");
    const main = fileURLToPath(new URL("libcacard-main.ts", import.meta.url));
    const child = fork(main, [library, `db="sql:${folder}" use_hw=no soft=(,card,CAC,,${names})`], {
      execArgv: ["--import", "tsx"],
      env: { ...process.env, NODE_OPTIONS: "" },
      serialization: "advanced",
    });
    const answers = new Answers(child);
    return new LibcacardCard(folder, child, answers, certificates, await answers.next());
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

class LibcacardCard implements InProcessCard, AsyncDisposable {
  readonly atr: Uint8Array;
  /** Certificates in the order of the card's PKI applets, DER. */
  readonly certificates: readonly Uint8Array[];
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #answers: Answers;

  constructor(
    folder: string,
    child: ChildProcess,
    answers: Answers,
    certificates: readonly Uint8Array[],
    atr: Uint8Array,
  ) {
    this.#folder = folder;
    this.#child = child;
    this.#answers = answers;
    this.certificates = certificates;
    this.atr = atr;
  }

  reset(): void {
    this.#ask({ reset: true });
  }

  /** Commands are worked on in the order in which they come. */
  transmit(command: Uint8Array): Promise<Uint8Array> {
    this.#ask({ command });
    return this.#answers.next();
  }

  #ask(request: CardRequest): void {
    if (this.#child.connected) this.#child.send(request);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, "exit");
      this.#child.disconnect();
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

export type { LibcacardCard };

/** The messages of a child process, one for each who waits. */
class Answers {
  readonly #waiting: { readonly resolve: (answer: Uint8Array) => void; readonly reject: (error: Error) => void }[] = [];
  #ended = false;

  constructor(child: ChildProcess) {
    child.on("message", (answer: Uint8Array) => this.#waiting.shift()?.resolve(new Uint8Array(answer)));
    child.on("exit", () => {
      this.#ended = true;
      for (const { reject } of this.#waiting.splice(0)) reject(ended());
    });
  }

  next(): Promise<Uint8Array> {
    if (this.#ended) return Promise.reject(ended());
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}

const ended = (): Error => new Error("the process that is the card has ended; its standard error says why");
