import type { CallOptions } from "../../async/index.ts";
import {
  type Card,
  type CardApplication,
  type CardObject,
  type CardToken,
  type CardTokenInfo,
  completedAnyway,
  PinError,
  type PinRole,
  type PinStatus,
  UnsupportedError,
  untilCancelled,
} from "../../card/index.ts";
import { pinBounds } from "../pins/pin-encoding.ts";
import type { TokenLife, Variables } from "./life.ts";

/** The token of a card that has no PKCS #15 files yet: it can only be initialised. */
class BlankToken implements CardToken {
  readonly mechanisms = [];
  readonly changedBy = "user";
  readonly #card: Card;
  readonly #life: TokenLife;

  constructor(card: Card, life: TokenLife) {
    this.#card = card;
    this.#life = life;
  }

  info(options?: CallOptions): Promise<CardTokenInfo> {
    const { make, manufacturer, officer } = this.#life;
    return untilCancelled(options, () => ({
      label: "",
      manufacturer,
      model: make,
      serialNumber: "",
      pin: { label: "SO PIN", ...pinBounds(officer) },
      application: "PKCS #15",
    }));
  }

  objects(_classes?: readonly CardObject["class"][], options?: CallOptions): Promise<readonly CardObject[]> {
    return untilCancelled(options, () => []);
  }

  pinStatus(_pin: PinRole, _thorough?: boolean, options?: CallOptions): Promise<PinStatus> {
    const status = { triesLeft: undefined, maxTries: undefined, verified: false, isSet: false };
    return untilCancelled(options, () => status);
  }

  login(): Promise<void> {
    return Promise.reject(new PinError("not-set", "the card has no PIN yet: initialise it"));
  }

  logout(options?: CallOptions): Promise<void> {
    return completedAnyway(options, () => Promise.resolve());
  }

  use(): Promise<Uint8Array> {
    return Promise.reject(new UnsupportedError("the card has no keys yet: initialise it"));
  }

  initToken(soPin: Uint8Array, label: string, variables: Variables, options?: CallOptions): Promise<void> {
    return this.#life.initToken(this.#card, soPin, label, variables, options);
  }
}

/** A card of a make that can be initialised, and was not. */
export function blankApplication(card: Card, life: TokenLife): CardApplication {
  return { profile: "pkcs15", tokens: [new BlankToken(card, life)] };
}
