// What a panel of the overview is made of; the overview puts frames around it.
import type { ReactElement } from "react";
import type { Told } from "../data/snapshot.ts";
import type { View } from "./view.ts";

/** The room for a panel's content, and what is chosen in it. */
export interface PanelRoom {
  readonly width: number;
  readonly height: number;
  readonly focused: boolean;
  readonly chosen: number;
}

/** A panel of the overview. */
export interface PanelContent {
  readonly title: string;
  /** What is said beside the title; may be empty. */
  aside(view: View): string;
  /** The part of the mesh that it shows. */
  told(view: View): Told<unknown>;
  /** How many rows there are. */
  count(view: View): number;
  /** Draws the rows. */
  body(view: View, room: PanelRoom): ReactElement;
}
