// Runs the ClickHouse engine that libchdb.so holds as a server of its own, for
// tests and benchmarks: with its native protocol, and in the foreground.
//
//	clickhouse LIBCHDB.so PORT OPTION...
//
// The options are those of clickhouse-local. It prints "listening" when it takes
// connections. SIGTERM and SIGINT stop it in order.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int hold; // the server runs for as long as this end of a pipe is open
static int port;
static sigset_t ends;

static void *await_signal(void *unused) {
	int sig;
	sigwait(&ends, &sig);
	close(hold);
	return unused;
}

static void *await_port(void *unused) {
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	for (;;) {
		int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int there = s >= 0 && connect(s, (struct sockaddr *)&at, sizeof at) == 0;
		if (s >= 0)
			close(s);
		if (there)
			break;
		usleep(10000);
	}
	fprintf(stderr, "listening\n");
	return unused;
}

int main(int argc, char **argv) {
	if (argc < 3) {
		fprintf(stderr, "usage: %s LIBCHDB.so PORT OPTION...\n", argv[0]);
		return 2;
	}
	port = atoi(argv[2]);
	signal(SIGPIPE, SIG_IGN); // a client may be killed while it is answered
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL); // the engine's threads inherit it

	int pipes[2];
	if (pipe2(pipes, O_CLOEXEC) != 0 || dup2(pipes[0], 0) < 0) {
		perror("pipe");
		return 1;
	}
	close(pipes[0]);
	hold = pipes[1];

	void *lib = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
	if (!lib) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	void *(*run)(int, char **) = (void *(*)(int, char **))dlsym(lib, "chdb_query_cmdline");
	const char *(*failure)(void *) = (const char *(*)(void *))dlsym(lib, "chdb_result_error");
	if (!run || !failure) {
		fprintf(stderr, "%s: not the library that is known here\n", argv[1]);
		return 1;
	}
	pthread_t signals, ports;
	pthread_create(&signals, NULL, await_signal, NULL);
	pthread_create(&ports, NULL, await_port, NULL);

	char listen[64];
	snprintf(listen, sizeof listen, "--tcp_port=%d", port);
	char **args = calloc(argc + 4, sizeof *args);
	int n = 0;
	args[n++] = "clickhouse-local";
	args[n++] = "--listen_host=127.0.0.1";
	args[n++] = listen;
	for (int i = 3; i < argc; i++)
		args[n++] = argv[i];
	// The second statement reads the pipe to its end, which keeps the process.
	args[n++] = "--query=SYSTEM START LISTEN TCP; SELECT * FROM file(stdin, LineAsString) FORMAT Null";
	void *result = run(n, args);
	const char *error = result ? failure(result) : "no result";
	if (error) {
		fprintf(stderr, "%s\n", error);
		_exit(1);
	}
	_exit(0);
}
