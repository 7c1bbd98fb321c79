CREATE INDEX notes_deleted ON notes (deleted_at) WHERE deleted_at IS NOT NULL;
