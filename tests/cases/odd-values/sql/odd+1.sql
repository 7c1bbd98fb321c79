CREATE TABLE "it's odd" (id INTEGER PRIMARY KEY, "währung" TEXT DEFAULT '$5; -- not a comment');
