import { copySecret, wipe } from "../../bytes/index.ts";

/** The PIN of a security officer who is logged in, who may give a card its user's first PIN. */
export class OfficerPin {
  #characters: Uint8Array | undefined;

  /** Keeps a copy until {@link forget}. */
  keep(characters: Uint8Array): void {
    this.forget();
    this.#characters = copySecret(characters);
  }

  get characters(): Uint8Array | undefined {
    return this.#characters;
  }

  forget(): void {
    if (this.#characters) wipe(this.#characters);
    this.#characters = undefined;
  }
}
