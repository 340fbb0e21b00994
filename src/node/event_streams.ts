/**
 * Streams of events as a part of a node.
 *
 * @module
 */
import { EVENT_STREAMS, EventStreams } from "../events/streams.ts";
import { partOf, type Start } from "./part.ts";

/** Connections that listen to events; the others stay for requests. */
const LISTENING_SHARE = 0.5;

/** Streams what happens to those who listen. */
export const eventStreams: Start = ({ events, clock, registry, stopping, ports, settings }) => {
  const max = Math.ceil(settings().api.maxConnections * LISTENING_SHARE);
  const streams = new EventStreams({ events, clock, registry, stopping, max });
  const offered = ports.offer(EVENT_STREAMS, streams);
  return partOf("streams of events", { end: () => offered[Symbol.dispose]() });
};
