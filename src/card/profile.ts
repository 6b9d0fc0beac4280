import type { Card } from "./card.ts";
import type { CardApplication } from "./types.ts";

/** A kind of card application: recognises it on a card. */
export interface CardProfile {
  readonly name: CardApplication["profile"];
  /**
   * Whether cards with this answer to reset usually carry the application; it is asked before others then. No card is asked for it, and
   * nothing is decided by it: a profile that errs here costs exchanges. A kind of card that carries several applications should be
   * expected by all their profiles, or by none: among those, the order that the program gave says whose the card is.
   */
  expects?(atr: Uint8Array): boolean | Promise<boolean>;
  /**
   * The application, if this card carries it; undefined if it does not. A refusal by the card is no error here.
   * @throws {CardAccessError} if the card cannot be reached.
   */
  claim(card: Card): Promise<CardApplication | undefined>;
  /**
   * What {@link claim} finds in one or two exchanges, for a card that is not expected to carry the application. If no profile has it then,
   * `claim` is asked after all. Left out where `claim` takes no more.
   * @throws {CardAccessError} as `claim`.
   */
  glance?(card: Card): Promise<CardApplication | undefined>;
  /**
   * Says what a card is that this profile would use if it could, for the person who has put it in: "IsoApplet card that is not
   * initialised: ...". Asked only if no profile claims the card. Left out where nothing can be said.
   * @throws {CardAccessError} as `claim`.
   */
  explain?(card: Card): Promise<string | undefined>;
}
