import { SerialQueue } from "../../async/index.ts";
import { CKA, CKR, CryptokiError, type Template } from "../../cryptoki/index.ts";
import type { Request } from "../wire/message.ts";

/**
 * Has one connection make one key of this computer at a time. Node has few threads for that and can take no such work back: keys that
 * a client asked for in a heap would keep all other clients waiting, even after it has gone.
 */
export class HostKeyQueue {
  readonly #queue = new SerialQueue(() => new CryptokiError(CKR.FUNCTION_CANCELED));

  /**
   * Carries out a call: after those before it if it makes a key in software, else at once.
   * @param signal Has the calls that wait give up.
   * @throws {CryptokiError} CKR_FUNCTION_CANCELED for them; what the call throws.
   */
  run(request: Request, invoke: () => unknown, signal: AbortSignal): unknown {
    return makesHostKey(request) ? this.#queue.run(invoke, signal) : invoke();
  }
}

const GENERATE: ReadonlySet<string> = new Set(["C_GenerateKey", "C_GenerateKeyPair"]);

/** A key of a card is the card's work, and its template says so. */
function makesHostKey({ call, args }: Request): boolean {
  if (!GENERATE.has(call.function)) return false;
  const template = args.at(-1) as Template | undefined;
  return template?.[CKA.TOKEN] !== true;
}
