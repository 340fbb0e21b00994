/**
 * The entry of the thread of one long job on the database (`change/orders.ts`), with the guard that looks at changes.
 *
 * @module
 */
import { serveOrders } from "../change/orders.ts";
import { AnswerGuard, type PortableGuard } from "./answer_guard.ts";

// What was sent is what `AnswerGuard.portable` gave.
serveOrders((portable) => AnswerGuard.of(portable as PortableGuard));
