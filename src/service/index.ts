/** The HTTP service: tokens and keys for programs of other languages, and on other machines. {@link createService} makes it. */
export {
  checkConfiguration,
  type ListenConfiguration,
  readConfiguration,
  type ServiceConfiguration,
} from "./configuration.ts";
export { listen, type Listening, readTls } from "./listen.ts";
export { PracticeCard } from "./practice-card.ts";
export { Secrets } from "./secrets.ts";
export { createService, type HttpServiceOptions } from "./service.ts";
export { TraceFeed } from "./trace-feed.ts";
