import type { CardProfile } from "../card/index.ts";
import { Cryptoki, type CryptokiFunctions } from "../cryptoki/index.ts";
import type { InProcessCard, Pcsc } from "../pcsc/index.ts";
import { asTokenErrors } from "./error.ts";
import type { PinSource } from "./pin.ts";
import { TokenSource } from "./source.ts";

interface CommonOptions {
  /** Asked when something wants the user's PIN. Without it, only what is public can be used until {@link Token.login}. */
  readonly pin?: PinSource;
  /** Ends the wait for the readers or the server. */
  readonly signal?: AbortSignal;
}

/** Where tokens come from. Without anything: the readers of this machine, with every card profile of this package. */
export type OpenTokensOptions = CommonOptions &
  (
    | {
        /** Default: pcscd of this machine. It stays open when it is given. */
        readonly pcsc?: Pcsc;
        readonly profiles?: readonly CardProfile[];
      }
    | {
        /** Cards in this process, each in a reader of its own. */
        readonly cards: readonly InProcessCard[];
        readonly profiles?: readonly CardProfile[];
      }
    | {
        /** A module behind p11-kit's protocol: "unix:path=..." or "|ssh host p11-kit remote ...". */
        readonly server: string;
      }
    | {
        /** Any C_ functions. C_Initialize and C_Finalize are their owner's. */
        readonly cryptoki: CryptokiFunctions;
      }
  );

/**
 * Opens a source of tokens. Close it when it is no longer needed, or declare it with `await using`.
 *
 *     const cards = await openTokens({ pin: () => askForPin() });
 *     const key = await (await cards.token()).keys.get({ reference: "9a" });
 *     const signature = await key.sign(createReadStream("letter.pdf"));
 *     await cards.close();
 *
 * @throws {TokenError} NO_SERVICE; what the server says.
 */
export async function openTokens(options: OpenTokensOptions = {}): Promise<TokenSource> {
  const { pin, signal } = options;
  if ("cryptoki" in options) {
    return new TokenSource({ cryptoki: options.cryptoki, pin, watches: false, close: () => Promise.resolve() });
  }
  if ("server" in options) {
    const { P11KitModule } = await import("../p11kit/index.ts");
    const module = new P11KitModule({ address: options.server });
    await asTokenErrors(() => module.C_Initialize({ signal }), signal);
    return new TokenSource({ cryptoki: module, pin, watches: false, close: () => module[Symbol.asyncDispose]() });
  }
  const profiles = options.profiles ?? (await import("../profiles.ts")).profiles;
  const pcsc = "cards" in options ? await inProcess(options.cards) : (options.pcsc ?? (await thisMachine()));
  const isOwn = "cards" in options || options.pcsc === undefined;
  const cryptoki = new Cryptoki({ pcsc, profiles });
  await asTokenErrors(() => cryptoki.C_Initialize({ signal }), signal);
  const close = async (): Promise<void> => {
    await cryptoki[Symbol.asyncDispose]();
    if (isOwn) await pcsc.close();
  };
  return new TokenSource({ cryptoki, pin, watches: true, askReaders: () => pcsc.readers(), close });
}

async function thisMachine(): Promise<Pcsc> {
  const { Pcscd } = await import("../pcsc/index.ts");
  return new Pcscd();
}

async function inProcess(cards: readonly InProcessCard[]): Promise<Pcsc> {
  const { MemoryReaders } = await import("../pcsc/index.ts");
  const readers = new MemoryReaders();
  for (const [index, card] of cards.entries()) {
    readers.plug(`Reader ${index + 1}`);
    readers.insert(`Reader ${index + 1}`, card);
  }
  return readers.client();
}
