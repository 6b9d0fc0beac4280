import { equalBytes, fromUtf8, wipe } from "../bytes/index.ts";
import { type CardToken, PinError } from "../card/index.ts";
import { SetupRefusedError } from "./preflight.ts";
import type { SetupRun } from "./run.ts";
import { type CardSecrets, FACTORY, type SecretName } from "./secrets.ts";

/**
 * The logins that the steps of a setup need. Which PIN, PUK and key the card has now is known from what it says of itself, from the
 * transcript, and, where an earlier run was interrupted in the very step, by trying: the new one first, with one try at most that a right one
 * gives back.
 */
export class CardLogins implements Disposable {
  readonly #run: SetupRun;
  readonly #token: CardToken;
  readonly #isPiv: boolean;
  readonly #users = new Set<"user" | "so">();
  readonly #given = new Map<SecretName, Uint8Array | undefined>();

  constructor(run: SetupRun, token: CardToken, isPiv: boolean) {
    this.#run = run;
    this.#token = token;
    this.#isPiv = isPiv;
  }

  /** The values that a secret may have now, the most probable first. The caller does not wipe them. */
  async #candidates(name: "pin" | "puk"): Promise<Uint8Array[]> {
    const device = await this.#token.deviceInfo?.();
    const isDefault = name === "pin" ? device?.hasDefaultPin : device?.hasDefaultPuk;
    if (isDefault === true) return [FACTORY[name]];
    const fresh = this.#run.fresh.get(name);
    if (fresh && this.#run.isDone(name)) return [fresh];
    const given = await this.#currentSecret(name);
    const factory = isDefault === undefined && this.#isPiv ? FACTORY[name] : undefined;
    // A card that does not tell has the factory's after its tries were set.
    const old = this.#run.isDone("tries") && factory ? [factory] : [given, this.#run.earlier.get(name), factory];
    const [present] = old.filter((one) => one !== undefined);
    const found = [this.#run.isBegun(name) ? fresh : undefined, present].filter((one) => one !== undefined);
    if (found.length > 0) return found;
    throw new SetupRefusedError(missing(name));
  }

  /** The card's present secret, as the caller gave it. */
  async #currentSecret(name: SecretName): Promise<Uint8Array | undefined> {
    if (!this.#given.has(name)) this.#given.set(name, await this.#run.tools.currentSecret(name));
    return this.#given.get(name);
  }

  /** Sets the PIN or PUK of the plan, if it has one. */
  async set(name: "pin" | "puk"): Promise<void> {
    const run = this.#run;
    const fresh = run.fresh.get(name);
    if (!fresh || run.isDone(name)) return;
    if (name === "pin" && (await this.#isUnset())) {
      await this.logInOfficer();
      await run.begin(name);
      const options = { signal: run.tools.signal, variables: initialValues(run.fresh) };
      await this.#token.initPin?.(fresh, options);
    } else if (run.isDone("reset") && this.#token.erase === undefined) {
      // Initialising the card has set it.
      if (name === "pin") await this.#token.login("user", fresh, { signal: run.tools.signal });
    } else {
      const candidates = await this.#candidates(name);
      await run.begin(name);
      await this.#change(name, candidates, fresh);
    }
    await run.done(name);
  }

  async #isUnset(): Promise<boolean> {
    return this.#token.initPin !== undefined && (await this.#token.pinStatus("user")).isSet === false;
  }

  async #change(name: "pin" | "puk", candidates: readonly Uint8Array[], fresh: Uint8Array): Promise<void> {
    const role = name === "pin" ? "user" : "puk";
    for (const [index, old] of candidates.entries()) {
      const isLast = index === candidates.length - 1;
      if (!isLast) await this.#requireTries(name);
      try {
        // For a PUK that may be the new one already, changing it to itself is the only proof.
        if (role === "user" && equalBytes(old, fresh)) await this.#token.login("user", fresh, this.#run.tools);
        else await this.#token.changePin?.(role, old, fresh, { signal: this.#run.tools.signal });
        return;
      } catch (error) {
        if (isLast || !isWrong(error)) throw error;
      }
    }
  }

  /** A wrong value must not be the last try. */
  async #requireTries(name: "pin" | "puk"): Promise<void> {
    const left =
      name === "pin"
        ? (await this.#token.pinStatus("user", true)).triesLeft
        : (await this.#token.deviceInfo?.())?.pukTriesLeft;
    if (left !== undefined && left < 2) {
      throw new SetupRefusedError(
        `the setup was interrupted while it set the ${name.toUpperCase()}, and one try is left to find out which the card has; reset the card: cryptoki token reset`,
      );
    }
  }

  /** The holder's PIN as it is now. */
  async pin(): Promise<Uint8Array> {
    const fresh = this.#run.fresh.get("pin");
    if (fresh && this.#run.isDone("pin")) return fresh;
    const [first = new Uint8Array()] = await this.#candidates("pin");
    return first;
  }

  async logInUser(): Promise<void> {
    if (this.#users.has("user")) return;
    await this.#token.login("user", await this.pin(), { signal: this.#run.tools.signal });
    if (!this.#isPiv) this.#users.clear();
    this.#users.add("user");
  }

  /** The login that changes need: on a PIV card the management key; on others what the card says. */
  async logInForChanges(): Promise<void> {
    const { changedBy = "so" } = this.#token;
    if (changedBy === "user") await this.logInUser();
    else if (changedBy === "so") await this.logInOfficer();
  }

  /** @returns Whether the officer's key is the new one already. */
  async logInOfficer(): Promise<boolean> {
    const name: SecretName = this.#isPiv ? "management-key" : "so-pin";
    const fresh = this.#run.fresh.get(name);
    const wasInitialised = this.#run.isDone("reset") && this.#token.erase === undefined;
    const isSet = fresh !== undefined && (this.#run.isDone(name) || wasInitialised);
    if (this.#users.has("so")) return isSet;
    const given = await this.#currentSecret(name);
    // Wrong management keys cost nothing; an SO PIN has tries.
    const candidates = this.#isPiv
      ? [fresh, ...(await this.#keyOrPin(given)), this.#run.earlier.get(name), FACTORY["management-key"]]
      : [isSet ? fresh : (given ?? this.#run.earlier.get(name))];
    const known = candidates.filter((one) => one !== undefined);
    for (const [index, key] of known.entries()) {
      try {
        await this.#token.login("so", key, { signal: this.#run.tools.signal });
        if (!this.#isPiv) this.#users.clear();
        this.#users.add("so");
        return key === fresh;
      } catch (error) {
        if (!this.#isPiv || index === known.length - 1 || !isWrong(error)) throw error;
      }
    }
    throw new SetupRefusedError(missing(name));
  }

  /**
   * What the caller gave, and what the card keeps behind its PIN. A protected key wants the PIN as it is now: an old one would spend a try. A
   * derived key wants the PIN that it was derived from.
   */
  async #keyOrPin(given: Uint8Array | undefined): Promise<(Uint8Array | undefined)[]> {
    const storage = (await this.#token.deviceInfo?.())?.officerKeyStorage;
    const key = given && given.length >= SHORTEST_KEY ? given : undefined;
    if (storage === "protected") return [key, await this.pin()];
    if (storage === "derived") return [given, await this.#currentSecret("pin"), FACTORY.pin];
    return [key];
  }

  /** What the card has verified before this is not to be counted on. */
  forget(): void {
    this.#users.clear();
  }

  [Symbol.dispose](): void {
    for (const secret of this.#given.values()) if (secret) wipe(secret);
    this.#given.clear();
  }
}

/** PIN and PUK as the variables with which cards are initialised. Strings cannot be wiped: these are the cards' own interface. */
export function initialValues(secrets: CardSecrets): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const name of ["pin", "puk"] as const) {
    const value = secrets.get(name);
    if (value) values.set(name, fromUtf8(value));
  }
  return values;
}

/** Bytes of the shortest management key; a PIN has fewer. */
const SHORTEST_KEY = 16;

const isWrong = (error: unknown): boolean => error instanceof PinError && error.reason === "incorrect";

const OPTIONS: Readonly<Record<SecretName, string>> = {
  pin: "--pin-source",
  puk: "--puk-source",
  "management-key": "--so-pin-source",
  "so-pin": "--so-pin-source",
};

const NAMES: Readonly<Record<SecretName, string>> = {
  pin: "PIN",
  puk: "PUK",
  "management-key": "management key",
  "so-pin": "SO PIN",
};

export function missing(name: SecretName): string {
  return `the card has a ${NAMES[name]} of its own: give it with ${OPTIONS[name]}, or have the plan reset the card`;
}
