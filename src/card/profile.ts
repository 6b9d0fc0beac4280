import type { Card } from "./card.ts";
import type { CardApplication } from "./types.ts";

/** A kind of card application: recognises it on a card. */
export interface CardProfile {
  readonly name: CardApplication["profile"];
  /**
   * The application, if this card carries it; undefined if it does not. A refusal by the card is no error here.
   * @throws {CardAccessError} if the card cannot be reached.
   */
  claim(card: Card): Promise<CardApplication | undefined>;
}
