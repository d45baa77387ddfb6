/** Names of the statements that an api runs in the background, or for many requests at once. */
export const IN_BACKGROUND = /^(assets_note_access|events_.*|identity_list_changed_.*|rate_limits.*)$/;
