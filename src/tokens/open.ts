import type { CardProfile } from "../card/index.ts";
import { Cryptoki, type CryptokiFunctions } from "../cryptoki/index.ts";
import type { InProcessCard, Pcsc } from "../pcsc/index.ts";
import { asTokenErrors, TokenError } from "./error.ts";
import type { PinSource } from "./pin.ts";
import { TokenSource } from "./source.ts";
import type { TouchListener } from "./touch.ts";

export interface CommonOptions {
  /** Asked when something wants the user's PIN. Without it, only what is public can be used until {@link Token.login}. */
  readonly pin?: PinSource;
  /** Is told when the card waits for a touch, so that the program can say so. */
  readonly onTouch?: TouchListener;
  /** Ends the wait for the readers or the server. */
  readonly signal?: AbortSignal;
}

export interface WithProfiles {
  readonly profiles?: readonly CardProfile[];
  /**
   * A folder for copies of what cards show without a login, so that a card that was seen before costs a few exchanges; this user's alone, and made
   * if it is missing. For the profiles of this package. Default: nothing is kept.
   */
  readonly cache?: string;
}

export interface OfReaders extends WithProfiles {
  /** Default: pcscd of this machine. It stays open when it is given. */
  readonly pcsc?: Pcsc;
}

export interface OfCards extends WithProfiles {
  /** Cards in this process, each in a reader of its own. */
  readonly cards: readonly InProcessCard[];
}

/** Where tokens come from. Without anything: the readers of this machine, with every card profile of this package. */
export type OpenTokensOptions = CommonOptions &
  (
    | OfReaders
    | OfCards
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
  const { pin, onTouch, signal } = readOptions(options);
  if ("cryptoki" in options && given(options.cryptoki)) {
    return new TokenSource({
      cryptoki: options.cryptoki,
      pin,
      onTouch,
      watches: false,
      close: () => Promise.resolve(),
    });
  }
  if ("server" in options && given(options.server)) {
    const { P11KitModule } = await import("../p11kit/index.ts");
    const module = new P11KitModule({ address: options.server });
    const close = (): Promise<void> => module[Symbol.asyncDispose]();
    await initialised(module, close, signal);
    return new TokenSource({ cryptoki: module, pin, onTouch, watches: false, close });
  }
  const { pcsc: theirs, cards, profiles, cache } = options as Partial<OfReaders & OfCards>;
  const pcsc = cards ? await inProcess(cards) : (theirs ?? (await thisMachine()));
  const cryptoki = new Cryptoki({ pcsc, profiles: profiles ?? (await ownProfiles(cache)) });
  const close = async (): Promise<void> => {
    await cryptoki[Symbol.asyncDispose]();
    if (pcsc !== theirs) await pcsc.close();
  };
  await initialised(cryptoki, close, signal);
  return new TokenSource({ cryptoki, pin, onTouch, watches: true, askReaders: () => pcsc.readers(), close });
}

/** @throws {TokenError} BAD_INPUT: callers in JavaScript have no types. */
function readOptions(options: OpenTokensOptions): CommonOptions {
  const { pin, onTouch }: { readonly pin?: unknown; readonly onTouch?: unknown } = options;
  if (onTouch !== undefined && typeof onTouch !== "function")
    throw new TokenError("BAD_INPUT", "`onTouch` is a function");
  if (pin !== undefined && typeof pin !== "function") {
    throw new TokenError("BAD_INPUT", "`pin` is a function that gives the PIN when it is wanted, not the PIN itself");
  }
  return options;
}

const given = <T>(value: T | undefined): value is T => value !== undefined;

/** Begins with the module, or closes it again. */
async function initialised(
  cryptoki: CryptokiFunctions,
  close: () => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await asTokenErrors(() => cryptoki.C_Initialize({ signal }), signal);
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** @param cache A folder for copies. */
async function ownProfiles(cache: string | undefined): Promise<readonly CardProfile[]> {
  const { createProfiles, profiles } = await import("../profiles.ts");
  if (cache === undefined) return profiles;
  const { directoryStore } = await import("../store/index.ts");
  return createProfiles({ store: directoryStore(cache) });
}

async function thisMachine(): Promise<Pcsc> {
  const { openSystemPcsc } = await import("../pcsc/index.ts");
  return (await openSystemPcsc()).pcsc;
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
