/* A fast stand-in for a model server, so that a benchmark measures the gateway and not the upstream.
 *
 * One thread, one epoll set, HTTP/1.1 with keep-alive. Linux only.
 *
 *   POST anything   a fixed chat.completion, or, when the body holds "stream": true, a chunked
 *                   text/event-stream: one write and one HTTP chunk per event
 *   GET anything    200 with a small JSON object (model list, health)
 *
 * How a stream goes is said by request headers, or, since a gateway does not forward those, by the
 * model's name, `bench-c64-g20000`, `bench-burst` or `bench-idle`:
 *
 *   x-chunks: N  / -cN    content events, 64 unless told
 *   x-gap-us: N  / -gN    microseconds between events; 0 = as fast as the reader takes them, one
 *                         event per stream and loop turn, so that streams interleave
 *   x-burst: 1   / -burst with no gap: one stream's events right after each other, still a write
 *                         each, so that a slower reader finds several in one read
 *   x-idle: 1    / -idle  the head and one event, then silence until the client closes
 *                -anthropic  the stream is one of Anthropic's messages: as many content events, and
 *                         around them its own: a message and a block that start, and their ends
 *
 * Each content event of chat carries CLOCK_MONOTONIC in nanoseconds, 19 digits, in the field `obfuscation`
 * (which OpenAI's events have, filled with padding): a load generator on the same machine reads the
 * forwarding delay of every event from it.
 *
 * usage: upstream [PORT]      0 or none: any free port. Prints "listening PORT".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 65536       /* a request's head; longer closes the connection */
#define IN_CAP 131072        /* read buffer; a longer body is scanned in pieces and dropped */
#define OVERLAP 256          /* kept between pieces, so that a key split across two is still found */
#define CONNS_MAX 65536
#define EVENTS 512
#define STAMP_DIGITS 19

enum phase { READ_HEAD, READ_BODY, READ_CHUNKED, WRITE_PLAIN, WRITE_STREAM, HELD };

struct conn {
    int fd;
    enum phase phase;
    char *in;                /* IN_CAP bytes while a request is being read, NULL between requests */
    size_t in_len;
    uint64_t body_left;      /* bytes of a body with content-length still to come */
    bool is_stream, is_idle, is_burst, is_get, is_anthropic, closes;
    uint32_t chunks, gap_us;
    uint32_t sent;           /* events written so far, the head not counted */
    bool head_sent;
    char out[2048];          /* what the socket did not take yet */
    size_t out_off, out_len;
    uint64_t due_ns;
    int ready_at, heap_at;   /* position in those lists, -1 when absent */
};

static int epoll_fd, timer_fd;
static struct conn *ready[CONNS_MAX], *heap[CONNS_MAX];
static int ready_len, heap_len;

static const char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    "x-request-id: req-bench\r\ntransfer-encoding: chunked\r\n\r\n";
#define EVENT_START \
    "data: {\"id\":\"chatcmpl-bench0123456789abcdef\",\"object\":\"chat.completion.chunk\"," \
    "\"created\":1750000000,\"model\":\"bench\",\"system_fingerprint\":\"fp_bench\",\"choices\":"
static const char EVENT_FIRST[] =
    EVENT_START "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\" to\"},\"finish_reason\":null}],"
                "\"obfuscation\":\"0000000000000000000\"}\n\n";
static const char EVENT_NEXT[] = EVENT_START "[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}],"
                                             "\"obfuscation\":\"0000000000000000000\"}\n\n";
static const char EVENT_STOP[] = EVENT_START "[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
static const char EVENT_USAGE[] = EVENT_START
    "[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":%u,\"total_tokens\":%u,"
    "\"prompt_tokens_details\":{\"cached_tokens\":0}}}\n\n";
static const char EVENT_DONE[] = "data: [DONE]\n\n";
#define NAMED(name, more) "event: " name "\ndata: {\"type\":\"" name "\"" more "}\n\n"
static const char MESSAGE_START[] =
    NAMED("message_start", ",\"message\":{\"model\":\"bench\",\"id\":\"msg_bench0123456789\",\"type\":\"message\","
                           "\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
                           "\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}");
static const char BLOCK_START[] =
    NAMED("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
static const char BLOCK_DELTA[] =
    NAMED("content_block_delta", ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" token\"}");
static const char BLOCK_STOP[] = NAMED("content_block_stop", ",\"index\":0");
static const char MESSAGE_DELTA[] =
    NAMED("message_delta", ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                           "\"usage\":{\"output_tokens\":%u}");
static const char MESSAGE_STOP[] = NAMED("message_stop", "");
static const char PLAIN_BODY[] =
    "{\"id\":\"chatcmpl-bench0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1750000000,"
    "\"model\":\"bench\",\"system_fingerprint\":\"fp_bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
    "\"assistant\",\"content\":\"The quick brown fox jumps over the lazy dog, and the answer to the question is that "
    "it depends on what was asked.\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,"
    "\"completion_tokens\":24,\"total_tokens\":36,\"prompt_tokens_details\":{\"cached_tokens\":0}}}";
static const char GET_BODY[] =
    "{\"object\":\"list\",\"status\":\"ok\",\"model_path\":\"bench\",\"data\":["
    "{\"id\":\"bench\",\"object\":\"model\",\"created\":1750000000,\"owned_by\":\"bench\"}]}";

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- streams that may write now, and streams that wait for their time --- */

static void ready_add(struct conn *c) {
    if (c->ready_at >= 0) return;
    c->ready_at = ready_len;
    ready[ready_len++] = c;
}

static void ready_remove(struct conn *c) {
    if (c->ready_at < 0) return;
    struct conn *last = ready[--ready_len];
    ready[c->ready_at] = last;
    last->ready_at = c->ready_at;
    c->ready_at = -1;
}

static void heap_put(int at, struct conn *c) {
    heap[at] = c;
    c->heap_at = at;
}

static void heap_settle(int at, struct conn *c) {
    for (int up; at > 0 && heap[up = (at - 1) / 2]->due_ns > c->due_ns; at = up) heap_put(at, heap[up]);
    for (;;) {
        int child = 2 * at + 1;
        if (child >= heap_len) break;
        if (child + 1 < heap_len && heap[child + 1]->due_ns < heap[child]->due_ns) child++;
        if (heap[child]->due_ns >= c->due_ns) break;
        heap_put(at, heap[child]);
        at = child;
    }
    heap_put(at, c);
}

static void heap_add(struct conn *c) { heap_settle(heap_len++, c); }

static void heap_remove(struct conn *c) {
    if (c->heap_at < 0) return;
    int at = c->heap_at;
    struct conn *last = heap[--heap_len];
    c->heap_at = -1;
    if (last != c) heap_settle(at, last);
}

static void drop(struct conn *c) {
    ready_remove(c);
    heap_remove(c);
    close(c->fd);
    free(c->in);
    free(c);
}

/* --- writing; every function returns false when it dropped the connection --- */

/* Write what is pending; a full socket leaves the rest for EPOLLOUT. */
static bool flush_out(struct conn *c) {
    while (c->out_off < c->out_len) {
        ssize_t n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EAGAIN) return true;
            drop(c);
            return false;
        }
        c->out_off += (size_t)n;
    }
    c->out_off = c->out_len = 0;
    return true;
}

static void stamp(char *event, size_t length) {
    uint64_t t = now_ns();
    char *digit = event + length - 4 - 1; /* ahead of `"}\n\n` */
    for (int i = 0; i < STAMP_DIGITS; i++, t /= 10) *digit-- = (char)('0' + t % 10);
}

/* One HTTP chunk with one event into `out`. */
static void put_event(struct conn *c, const char *event, size_t length, bool is_stamped, const char *tail) {
    int n = snprintf(c->out, sizeof c->out, "%zx\r\n", length);
    memcpy(c->out + n, event, length);
    if (is_stamped) stamp(c->out + n, length);
    n += (int)length;
    c->out_len = (size_t)(n + snprintf(c->out + n, sizeof c->out - (size_t)n, "\r\n%s", tail));
    c->out_off = 0;
}

static bool request_done(struct conn *c);

/* The event number `i` of chat: content, a finish, the usage, the end mark, which is 2 behind the content. */
static bool put_chat(struct conn *c, uint32_t i) {
    if (i == 0 && c->chunks)
        put_event(c, EVENT_FIRST, sizeof EVENT_FIRST - 1, true, "");
    else if (i < c->chunks)
        put_event(c, EVENT_NEXT, sizeof EVENT_NEXT - 1, true, "");
    else if (i == c->chunks)
        put_event(c, EVENT_STOP, sizeof EVENT_STOP - 1, false, "");
    else if (i == c->chunks + 1) {
        char event[512];
        int n = snprintf(event, sizeof event, EVENT_USAGE, c->chunks, c->chunks + 12);
        put_event(c, event, (size_t)n, false, "");
    } else
        put_event(c, EVENT_DONE, sizeof EVENT_DONE - 1, false, "0\r\n\r\n");
    return i > c->chunks + 1;
}

/* The same of Anthropic's messages, which have two events before the content and three behind it. */
static bool put_anthropic(struct conn *c, uint32_t i) {
    if (i == 0)
        put_event(c, MESSAGE_START, sizeof MESSAGE_START - 1, false, "");
    else if (i == 1)
        put_event(c, BLOCK_START, sizeof BLOCK_START - 1, false, "");
    else if (i < c->chunks + 2)
        put_event(c, BLOCK_DELTA, sizeof BLOCK_DELTA - 1, false, "");
    else if (i == c->chunks + 2)
        put_event(c, BLOCK_STOP, sizeof BLOCK_STOP - 1, false, "");
    else if (i == c->chunks + 3) {
        char event[512];
        int n = snprintf(event, sizeof event, MESSAGE_DELTA, c->chunks);
        put_event(c, event, (size_t)n, false, "");
    } else
        put_event(c, MESSAGE_STOP, sizeof MESSAGE_STOP - 1, false, "0\r\n\r\n");
    return i > c->chunks + 3;
}

/* Write the next piece of a stream, and say when the one after it goes. */
static bool stream_event(struct conn *c) {
    if (c->out_len) { /* the reader is slow: EPOLLOUT brings us back */
        ready_remove(c);
        return true;
    }
    if (!c->head_sent) {
        c->head_sent = true;
        memcpy(c->out, STREAM_HEAD, sizeof STREAM_HEAD - 1);
        c->out_len = sizeof STREAM_HEAD - 1;
        ready_add(c); /* the first event follows at once */
        return flush_out(c);
    }
    uint32_t i = c->sent++;
    bool is_last = c->is_anthropic ? put_anthropic(c, i) : put_chat(c, i);
    if (!flush_out(c)) return false;
    if (is_last) return request_done(c);
    ready_remove(c);
    if (c->is_idle) {
        c->phase = HELD;
    } else if (c->gap_us && i + 1 < c->chunks) { /* the closing events come with the last token */
        c->due_ns += (uint64_t)c->gap_us * 1000u;
        heap_add(c);
    } else {
        ready_add(c);
    }
    return true;
}

/* One turn of a stream: one event, or in a burst all that the socket takes. */
static bool stream_step(struct conn *c) {
    while (c->phase == WRITE_STREAM && !c->out_len && c->is_burst && c->sent <= c->chunks)
        if (!stream_event(c)) return false;
    return stream_event(c);
}

static bool answer(struct conn *c) {
    if (c->is_stream && !c->is_get) {
        c->phase = WRITE_STREAM;
        c->sent = 0;
        c->head_sent = false;
        c->due_ns = now_ns();
        free(c->in); /* an open stream should cost the upstream little */
        c->in = NULL;
        return stream_step(c);
    }
    const char *body = c->is_get ? GET_BODY : PLAIN_BODY;
    size_t length = c->is_get ? sizeof GET_BODY - 1 : sizeof PLAIN_BODY - 1;
    c->phase = WRITE_PLAIN;
    c->out_len = (size_t)snprintf(c->out, sizeof c->out,
                                  "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req-bench\r\n"
                                  "content-length: %zu\r\n\r\n%s",
                                  length, body);
    c->out_off = 0;
    return flush_out(c) && (c->out_len || request_done(c));
}

/* --- reading --- */

/* Look for the three things in the body that steer the answer: "stream": true and the model's name. */
static void scan_body(struct conn *c, const char *from, size_t length) {
    const char *end = from + length, *at;
    if (!c->is_stream && (at = memmem(from, length, "\"stream\"", 8))) {
        for (at += 8; at < end && (*at == ' ' || *at == ':'); at++) continue;
        c->is_stream = end - at >= 4 && memcmp(at, "true", 4) == 0;
    }
    if (!(at = memmem(from, length, "\"model\"", 7))) return;
    for (at += 7; at < end && (*at == ' ' || *at == ':'); at++) continue;
    if (at >= end || *at++ != '"') return;
    for (; at < end && *at != '"'; at++) {
        if (*at != '-' || end - at < 2) continue;
        if (at[1] == 'c' && at[2] >= '0' && at[2] <= '9') c->chunks = (uint32_t)strtoul(at + 2, NULL, 10);
        if (at[1] == 'g' && at[2] >= '0' && at[2] <= '9') c->gap_us = (uint32_t)strtoul(at + 2, NULL, 10);
        if (end - at > 4 && memcmp(at, "-idle", 5) == 0) c->is_idle = true;
        if (end - at > 5 && memcmp(at, "-burst", 6) == 0) c->is_burst = true;
        if (end - at > 9 && memcmp(at, "-anthropic", 10) == 0) c->is_anthropic = true;
    }
}

static const char *header(const char *head, const char *name) {
    const char *at = strcasestr(head, name);
    if (!at) return NULL;
    for (at += strlen(name); *at == ' '; at++) continue;
    return at;
}

/* Take one head off the buffer. 1: taken, 0: more bytes needed, -1: dropped. */
static int take_head(struct conn *c) {
    char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end) {
        if (c->in_len < HEAD_MAX) return 0;
        drop(c);
        return -1;
    }
    const char *value;
    end[2] = '\0'; /* for the string functions */
    c->is_get = c->in_len > 4 && memcmp(c->in, "GET ", 4) == 0;
    c->is_stream = c->is_idle = c->is_burst = c->is_anthropic = false;
    c->chunks = 64;
    c->gap_us = 0;
    if ((value = header(c->in, "\r\nx-chunks:"))) c->chunks = (uint32_t)strtoul(value, NULL, 10);
    if ((value = header(c->in, "\r\nx-gap-us:"))) c->gap_us = (uint32_t)strtoul(value, NULL, 10);
    if ((value = header(c->in, "\r\nx-idle:"))) c->is_idle = *value == '1';
    if ((value = header(c->in, "\r\nx-burst:"))) c->is_burst = *value == '1';
    value = header(c->in, "\r\nconnection:");
    c->closes = value && strncasecmp(value, "close", 5) == 0;
    value = header(c->in, "\r\ncontent-length:");
    c->body_left = value ? strtoull(value, NULL, 10) : 0;
    value = header(c->in, "\r\ntransfer-encoding:");
    c->phase = value && strncasecmp(value, "chunked", 7) == 0 ? READ_CHUNKED : READ_BODY;
    value = header(c->in, "\r\nexpect:");
    if (value && send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) != 25) {
        drop(c);
        return -1;
    }
    size_t used = (size_t)(end + 4 - c->in);
    memmove(c->in, c->in + used, c->in_len -= used);
    return 1;
}

/* A body of known length: scan what is there, keep a little for keys that are split. 1: complete. */
static int take_body(struct conn *c) {
    size_t here = c->in_len < c->body_left ? c->in_len : (size_t)c->body_left;
    if (here == c->body_left) {
        scan_body(c, c->in, here);
        memmove(c->in, c->in + here, c->in_len -= here);
        c->body_left = 0;
        return 1;
    }
    if (c->in_len == IN_CAP) {
        scan_body(c, c->in, here);
        size_t gone = here - OVERLAP;
        memmove(c->in, c->in + gone, c->in_len -= gone);
        c->body_left -= gone;
    }
    return 0;
}

/* A chunked body must fit the buffer: no gateway under test sends a long one that way. 1: complete. */
static int take_chunked(struct conn *c) {
    char *at = c->in, *end = c->in + c->in_len, *line;
    for (;;) {
        if (!(line = memmem(at, (size_t)(end - at), "\r\n", 2))) break;
        size_t size = strtoul(at, NULL, 16);
        if ((size_t)(end - line) < size + 4) break;
        at = line + 2 + size + 2;
        if (size) continue;
        scan_body(c, c->in, c->in_len);
        memmove(c->in, at, c->in_len = (size_t)(end - at));
        return 1;
    }
    if (c->in_len < IN_CAP) return 0;
    drop(c);
    return -1;
}

/* Go as far as the bytes at hand allow. False when the connection was dropped. */
static bool advance(struct conn *c) {
    for (;;) {
        int got = 1;
        if (c->phase == READ_HEAD)
            got = take_head(c);
        else if (c->phase == READ_BODY || c->phase == READ_CHUNKED) {
            got = c->phase == READ_BODY ? take_body(c) : take_chunked(c);
            if (got > 0) return answer(c); /* what is pipelined behind it waits in the socket or in `in` */
        } else
            return true;
        if (got <= 0) return got == 0;
    }
}

static bool on_readable(struct conn *c) {
    while (c->phase <= READ_CHUNKED) {
        if (!c->in && !(c->in = malloc(IN_CAP))) abort();
        ssize_t n = recv(c->fd, c->in + c->in_len, IN_CAP - c->in_len, 0);
        if (n < 0 && errno == EAGAIN) return true;
        if (n <= 0) {
            drop(c);
            return false;
        }
        bool is_drained = (size_t)n < IN_CAP - c->in_len;
        c->in_len += (size_t)n;
        if (!advance(c)) return false;
        if (is_drained) return true;
    }
    return true;
}

static bool request_done(struct conn *c) {
    if (c->closes) {
        drop(c);
        return false;
    }
    ready_remove(c);
    c->phase = READ_HEAD;
    if (!c->in) c->in_len = 0;
    return c->in_len ? advance(c) : on_readable(c);
}

static void on_event(struct conn *c, uint32_t events) {
    /* A client that closes, or half closes, is gone: its stream ends here. */
    if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
        drop(c);
        return;
    }
    if (events & EPOLLOUT && c->out_len) {
        if (!flush_out(c)) return;
        if (!c->out_len && c->phase == WRITE_PLAIN && !request_done(c)) return;
        if (!c->out_len && c->phase == WRITE_STREAM && c->heap_at < 0) ready_add(c);
    }
    if (events & EPOLLIN) on_readable(c);
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if (fd >= CONNS_MAX) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct conn *c = calloc(1, sizeof *c);
        if (!c) abort();
        c->fd = fd;
        c->ready_at = c->heap_at = -1;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

static int open_listener(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("upstream: cannot listen");
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("listening %u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void run_due(void) {
    uint64_t now = heap_len ? now_ns() : 0;
    while (heap_len && heap[0]->due_ns <= now) {
        struct conn *c = heap[0];
        heap_remove(c);
        stream_step(c);
    }
    /* One event per stream and turn. Backwards: a step may swap its own entry out of the list. */
    for (int i = ready_len - 1; i >= 0; i--)
        if (i < ready_len) stream_step(ready[i]);
    struct itimerspec next = {0};
    if (heap_len) {
        next.it_value.tv_sec = (time_t)(heap[0]->due_ns / 1000000000u);
        next.it_value.tv_nsec = (long)(heap[0]->due_ns % 1000000000u);
        timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &next, NULL);
    }
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlive the benchmark */
    prctl(PR_SET_TIMERSLACK, 1);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int listener = open_listener(argc > 1 ? (uint16_t)atoi(argv[1]) : 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.ptr = &timer_fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll_fd, events, EVENTS, ready_len ? 0 : -1);
        for (int i = 0; i < n; i++) {
            if (!events[i].data.ptr)
                accept_all(listener);
            else if (events[i].data.ptr != &timer_fd)
                on_event(events[i].data.ptr, events[i].events);
        }
        run_due();
    }
}
