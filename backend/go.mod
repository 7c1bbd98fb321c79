module appos/backend

go 1.22

require (
	github.com/coder/websocket v1.8.13
	github.com/creack/pty v1.1.24
	github.com/google/uuid v1.6.0
	github.com/hibiken/asynq v0.25.1
	github.com/mattn/go-sqlite3 v1.14.53
	github.com/redis/go-redis/v9 v9.7.3
	golang.org/x/sys v0.27.0
	golang.org/x/time v0.8.0
)

require (
	github.com/cespare/xxhash/v2 v2.2.0 // indirect
	github.com/dgryski/go-rendezvous v0.0.0-20200823014737-9f7001d12a5f // indirect
	github.com/robfig/cron/v3 v3.0.1 // indirect
	github.com/spf13/cast v1.7.0 // indirect
	google.golang.org/protobuf v1.35.2 // indirect
)
