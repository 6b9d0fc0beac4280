import type { CardObject } from "../../card/index.ts";
import type { AttributeList } from "../attributes/template.ts";
import type { Token } from "../slots/token.ts";
import type { ObjectContents } from "./stored-object.ts";

/** An object that every token has by itself, under a reference of its own; it is made when it is first found. */
export type BuiltIn = readonly [reference: string, contents: () => ObjectContents];

/** The objects that a search may find besides those of the card and of sessions. */
export function builtInObjects(_token: Token, _all: readonly CardObject[], _wanted: AttributeList): readonly BuiltIn[] {
  return [];
}
