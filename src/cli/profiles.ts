import type { CardProfile } from "../card/index.ts";
import { piv } from "../piv/index.ts";

/** Kinds of cards that the program knows, in the order in which they are tried. */
export const PROFILES: readonly CardProfile[] = [piv];
