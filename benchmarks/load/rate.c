/* An open-loop load generator: requests leave at a constant rate, whatever the answers do.
 *
 * wrk waits for an answer before it sends again, so a slow server slows the measurement down and
 * hides its own queue. Here every latency counts from the moment the request was due. One thread,
 * one epoll set, keep-alive connections opened as they are needed. Linux only.
 *
 *   rate PORT RATE SECONDS WARMUP CONNS REQUEST-FILE
 *
 * RATE in requests per second; the first WARMUP seconds are sent but not recorded; at most CONNS
 * connections; REQUEST-FILE holds the whole request, head and body. Prints one JSON object:
 *
 *   sent, ok, failed, unfinished, connections     whole run, warm-up included
 *   total_us, head_us                             end of the answer; its first byte
 *   first_event_us                                first streamed event
 *   event_us    delay of each event from upstream's write to its arrival here, by the clock value
 *               that benchmarks/upstream puts into `obfuscation`
 *
 * each as {count, mean, p50, p90, p99, p999, max}. An answer other than 200, a cut one or one of
 * unclear length has failed.
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

#define CARRY 64            /* bytes kept between reads, so that a stamp cut in two is still read */
#define READ_SIZE 65536
#define HEAD_MAX 16384
#define DRAIN_SECONDS 15
#define STAMP "\"obfuscation\":\""
#define STAMP_DIGITS 19

enum phase { IDLE, HEAD, BODY, SIZE, DATA, DATA_END, TRAILER };

struct conn {
    int fd;
    enum phase phase;
    uint64_t due_ns;
    uint64_t left;          /* bytes of the body, or of this chunk */
    bool recorded, has_event;
    char head[HEAD_MAX];
    size_t head_len;
    char carry[CARRY];
    size_t carry_len;
    size_t line_len;        /* bytes of the trailer's current line */
    struct conn *next_idle;
};

struct samples {
    const char *name;
    float *at;
    size_t count, room;
};

static struct samples total = {.name = "total_us"}, first_byte = {.name = "head_us"},
                      first_event = {.name = "first_event_us"}, event_delay = {.name = "event_us"};
static struct conn *idle;
static int epoll_fd, open_conns, conns_max, port;
static char *request;
static size_t request_len;
static uint64_t sent, ok, failed, connections, in_flight;
static uint64_t *waiting, waiting_from, waiting_to; /* due times that found no free connection */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void record(struct samples *s, uint64_t from_ns, uint64_t to_ns) {
    if (s->count == s->room && !(s->at = realloc(s->at, (s->room = s->room ? 2 * s->room : 65536) * sizeof *s->at)))
        abort();
    s->at[s->count++] = to_ns > from_ns ? (float)(to_ns - from_ns) / 1000.0f : 0.0f;
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void print_samples(struct samples *s) {
    double sum = 0;
    qsort(s->at, s->count, sizeof *s->at, by_value);
    for (size_t i = 0; i < s->count; i++) sum += s->at[i];
    printf(",\"%s\":{\"count\":%zu", s->name, s->count);
    if (s->count) {
        static const struct { const char *name; double share; } ranks[] = {
            {"p50", .5}, {"p90", .9}, {"p99", .99}, {"p999", .999}, {"max", 1}};
        printf(",\"mean\":%.1f", sum / (double)s->count);
        for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
            printf(",\"%s\":%.1f", ranks[i].name, (double)s->at[(size_t)(ranks[i].share * (double)(s->count - 1))]);
    }
    printf("}");
}

static void drop(struct conn *c) {
    if (c->phase == IDLE) {
        for (struct conn **at = &idle; *at; at = &(*at)->next_idle)
            if (*at == c) {
                *at = c->next_idle;
                break;
            }
    } else {
        failed++;
        in_flight--;
    }
    close(c->fd);
    free(c);
    open_conns--;
}

static struct conn *open_conn(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct conn *c = calloc(1, sizeof *c);
    if (!c) abort();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) {
        perror("rate: cannot connect");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    open_conns++;
    connections++;
    return c;
}

/* Send the request that was due at `due_ns`; it waits when every connection is taken. */
static void start(uint64_t due_ns, uint64_t record_from_ns) {
    struct conn *c = idle;
    if (c)
        idle = c->next_idle;
    else if (open_conns < conns_max)
        c = open_conn();
    else {
        waiting[waiting_to++] = due_ns;
        return;
    }
    c->phase = HEAD;
    c->due_ns = due_ns;
    c->recorded = due_ns >= record_from_ns;
    c->has_event = false;
    c->head_len = c->carry_len = 0;
    sent++;
    in_flight++;
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) drop(c);
}

/* The head is complete: find out how the body is framed. False: not an answer we count. */
static bool read_head(struct conn *c) {
    const char *value;
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0) return false;
    if ((value = strcasestr(c->head, "\r\ntransfer-encoding: chunked")))
        c->phase = SIZE;
    else if ((value = strcasestr(c->head, "\r\ncontent-length:")))
        c->phase = BODY;
    else
        return false;
    c->left = c->phase == BODY ? strtoull(value + 17, NULL, 10) : 0;
    return true;
}

/* Note the delay of every stamped event in these bytes. */
static void read_stamps(struct conn *c, const char *from, size_t length, uint64_t now) {
    static char joined[READ_SIZE + CARRY];
    const size_t need = sizeof STAMP - 1 + STAMP_DIGITS;
    memcpy(joined, c->carry, c->carry_len);
    memcpy(joined + c->carry_len, from, length);
    const char *at = joined, *end = joined + c->carry_len + length, *hit;
    while ((hit = memmem(at, (size_t)(end - at), STAMP, sizeof STAMP - 1)) && (size_t)(end - hit) >= need) {
        if (c->recorded) {
            record(&event_delay, strtoull(hit + sizeof STAMP - 1, NULL, 10), now);
            if (!c->has_event) record(&first_event, c->due_ns, now);
        }
        c->has_event = true;
        at = hit + need;
    }
    c->carry_len = (size_t)(end - at) < need - 1 ? (size_t)(end - at) : need - 1;
    memcpy(c->carry, end - c->carry_len, c->carry_len);
}

/* Take body bytes. 1: the answer is complete, 0: more to come, -1: broken. */
static int take(struct conn *c, const char *at, const char *end) {
    while (at < end) {
        size_t here = (size_t)(end - at), step = here < c->left ? here : (size_t)c->left;
        switch (c->phase) {
        case BODY:
        case DATA:
            at += step;
            if (c->left -= step) break;
            if (c->phase == BODY) return at == end ? 1 : -1;
            c->phase = DATA_END;
            break;
        case DATA_END:
            if (*at++ == '\n') c->phase = SIZE;
            break;
        case SIZE:
            if (*at == '\n') {
                c->phase = c->left ? DATA : TRAILER;
                c->line_len = 0;
            } else if (*at != '\r') {
                int digit = *at >= 'a' ? *at - 'a' + 10 : *at >= 'A' ? *at - 'A' + 10 : *at - '0';
                if (digit < 0 || digit > 15) return -1;
                c->left = c->left * 16 + (unsigned)digit;
            }
            at++;
            break;
        case TRAILER:
            if (*at == '\n' && !c->line_len) return at + 1 == end ? 1 : -1;
            c->line_len = *at == '\n' ? 0 : c->line_len + (*at != '\r');
            at++;
            break;
        default:
            return -1;
        }
    }
    return c->phase == BODY && !c->left ? 1 : 0;
}

static void finish(struct conn *c, uint64_t now, uint64_t record_from_ns) {
    ok++;
    in_flight--;
    if (c->recorded) record(&total, c->due_ns, now);
    c->phase = IDLE;
    c->next_idle = idle;
    idle = c;
    if (waiting_from < waiting_to) start(waiting[waiting_from++], record_from_ns);
}

static void on_readable(struct conn *c, uint64_t record_from_ns) {
    static char buffer[READ_SIZE];
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || c->phase == IDLE) {
        drop(c);
        return;
    }
    uint64_t now = now_ns();
    const char *at = buffer, *end = buffer + n;
    if (c->phase == HEAD) {
        if (!c->head_len && c->recorded) record(&first_byte, c->due_ns, now);
        size_t before = c->head_len, room = HEAD_MAX - 1 - before, step = (size_t)n < room ? (size_t)n : room;
        memcpy(c->head + before, at, step);
        c->head[c->head_len += step] = '\0';
        char *stop = strstr(c->head, "\r\n\r\n");
        if (!stop && c->head_len < HEAD_MAX - 1) return;
        if (!stop) {
            drop(c);
            return;
        }
        stop[2] = '\0';
        at += (size_t)(stop + 4 - c->head) - before;
        if (!read_head(c)) {
            if (!failed) fprintf(stderr, "rate: first refused answer: %.2000s\n%.*s\n", c->head, (int)(end - at), at);
            drop(c);
            return;
        }
    }
    if (c->phase >= SIZE && at < end) read_stamps(c, at, (size_t)(end - at), now);
    int done = take(c, at, end);
    if (done < 0)
        drop(c);
    else if (done)
        finish(c, now, record_from_ns);
}

static void read_request(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) {
        perror(path);
        exit(2);
    }
    request_len = (size_t)ftell(file);
    rewind(file);
    if (!(request = malloc(request_len)) || fread(request, 1, request_len, file) != request_len) exit(2);
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: rate PORT RATE SECONDS WARMUP CONNS REQUEST-FILE\n");
        return 2;
    }
    port = atoi(argv[1]);
    double rate = atof(argv[2]), seconds = atof(argv[3]), warmup = atof(argv[4]);
    conns_max = atoi(argv[5]);
    read_request(argv[6]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* never outlive the benchmark */
    prctl(PR_SET_TIMERSLACK, 1);
    uint64_t count = (uint64_t)(rate * (seconds + warmup));
    if (!(waiting = calloc(count + 1, sizeof *waiting))) abort();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event);
    const uint64_t begin = now_ns() + 10000000u, record_from = begin + (uint64_t)(warmup * 1e9);
    const uint64_t give_up = begin + (uint64_t)((seconds + warmup + DRAIN_SECONDS) * 1e9);
    uint64_t started = 0;
    while ((started < count || in_flight || waiting_from < waiting_to) && now_ns() < give_up) {
        uint64_t due = started < count ? begin + (uint64_t)((double)started * 1e9 / rate) : give_up;
        for (; started < count && due <= now_ns(); due = begin + (uint64_t)((double)started * 1e9 / rate)) {
            start(due, record_from);
            started++;
        }
        struct itimerspec next = {.it_value = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)}};
        timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &next, NULL);
        struct epoll_event events[256];
        int n = epoll_wait(epoll_fd, events, 256, 1000);
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr) on_readable(events[i].data.ptr, record_from);
    }
    uint64_t unfinished = in_flight + (waiting_to - waiting_from);
    printf("{\"sent\":%lu,\"ok\":%lu,\"failed\":%lu,\"unfinished\":%lu,\"connections\":%lu", sent, ok, failed, unfinished,
           connections);
    print_samples(&total);
    print_samples(&first_byte);
    print_samples(&first_event);
    print_samples(&event_delay);
    printf("}\n");
    return 0;
}
