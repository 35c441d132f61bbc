#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A stand-in for a 1C publication with an HTTP service, for tests and demos.
# One process, core Perl only, keepalive HTTP/1.1, slow answers by timers.
#
#   onec.pl [--listen 127.0.0.1:0] [--control 127.0.0.1:0] [--log FILE]
#           [--path /CompanyName/hs/exchange/]... [--mode N] [--print]
#           [--keep 10000] [--secret TEXT]...
#
# Port 0 picks a free one.  The first lines of the standard output are
#   listening on 127.0.0.1:PORT
#   control on 127.0.0.1:PORT         (only with --control)
# --control is a second address for /_standin/ that no mode ever closes; the
# same requests are served on the first address too.
# --log appends a line of JSON for each request when it is over: n, time,
# seconds (until the answer was out), method, path, headers, body, id, mode,
# status (0: none was sent), closed ("": no, "client": the other side went
# before it had the answer, "server": we closed).
# --print shows a line for each order.  --secret is a text that must never
# arrive.  --keep bounds the requests kept for /_standin/received.
#
# Like 1C's platform it answers 404 outside of --path and 405 to other methods
# than POST.  What 1C could not take is written down as a violation: a request
# without Content-Length or chunked, a wrong content type, a BOM, bad UTF-8,
# control characters (raw or escaped), broken JSON, a Webhook-Id that is absent
# or differs from "id", a secret.
#
# Control address
#
#   POST /_standin/mode      {rule} or [{rule}, ...] replaces all rules; the
#   GET  /_standin/mode?..   same with one rule as query arguments, if any;
#                            answers with the rules in force
#   GET  /_standin/reset     forgets requests, statistics and rules
#   GET  /_standin/stats     counters as JSON, see stats()
#   GET  /_standin/ids       a line "id requests taken" for each Webhook-Id
#   GET  /_standin/received?wait=N&timeout=S&show=requests|bodies|count
#        blocks until N requests (with answered=1: answers) have come, 504 if
#        they have not within S seconds (default 5); a JSON array of requests,
#        or the bodies one a line, or {"count":N}
#
# A rule; the first that applies decides, else the answer is 200:
#   mode      below                  match   regex on the body
#   times     applies N times        head    regex on the request head
#   per       "id": times and skip count for each Webhook-Id
#   skip      lets N requests pass   every   applies to each N-th request only
#   random    probability 0..1       seed    of random
#   delay     seconds before the answer      close  1: Connection: close
#   status, body, headers {}         replace those of the mode
#   retry_after, size, first, then, sessions, user, password, seconds: below
#
# Modes by number or name.  Texts are those of real publications.
#    1 ok             200 JSON           11 version        409 text
#    2 bom            200 BOM, JSON      12 fault          500 HTML
#    3 exception      200 text           13 conflict       500 text
#    4 empty          200, no body       14 commit-close   takes, then closes
#    5 bad            400 text           15 cold           "first" seconds for
#    6 unauthorized   401 with realm        the first answer (12), then "then"
#    7 locked         403 BOM, JSON         (0.05)
#    8 forbidden      403 plain          16 sessions       "sessions" at once
#    9 notfound       404                   (1), else 406
#   10 nosession      406 XML            17 nochunked      411 to chunked
#   18 basic          401 unless "user" and "password" (default Обмен, секрет)
#                     come as UTF-8 Basic
#   19 ibsession      a session by IBSession: start and its cookie, else 400
#   20 chunked        200 chunked JSON
#   hang              never answers      reset       closes with RST
#   truncated         Content-Length 100, 5 bytes, closes
#   drip              200, a byte at a time, without an end
#   endless           500 without an end
#   cutchunk          chunked without its end, closes
#   unframed          200 without Content-Length, ended by closing
#   big               200 of "size" bytes (3 MB)
#   throttle          429 with Retry-After of "retry_after" (1)
#   refuse            at once: closes the listener and all connections for
#                     "seconds" (default: until mode "listen")
#   200..599          that status; the ones above have their usual text

use strict;
use warnings;

use FindBin ();
use Getopt::Long qw(GetOptions);

use lib "$FindBin::Bin/lib";

use Bitrix1C::OneC::Answers qw(mode_name usual_answer);
use Bitrix1C::OneC::Request qw(violations request_line);
use Bitrix1C::Standin::Control ();
use Bitrix1C::Standin::Request qw(quote request_json);
use Bitrix1C::Standin::Rules qw(ruled_answer);
use Bitrix1C::Standin::Server qw(CLOSE_OURS);

my %opt = (listen => '127.0.0.1:0', mode => 'ok', keep => 10_000);

my ($server, $control, $cold_done, %ids, %violations);

main();


sub main {
    GetOptions(\%opt, 'listen=s', 'control=s', 'log=s', 'path=s@', 'mode=s',
               'print', 'keep=i', 'secret=s@')
        && !@ARGV
        or die "usage: see the head of $0\n";

    $opt{path} //= ['/CompanyName/hs/exchange/'];
    $opt{secret} //= [];

    $server = Bitrix1C::Standin::Server->new(
        listen => $opt{listen}, control => $opt{control},
        on_request => \&publication,
        on_end => sub { $control->finished(@_) },
    );

    $control = Bitrix1C::Standin::Control->new(
        %opt, server => $server, mode_name => \&mode_name,
        counters => ['not_published', 'not_allowed'],
        json => sub { request_json($_[0], '"id":' . quote($_[0]{id})) },
        line => \&request_line, stats => \&stats,
        on_rules => sub { $cold_done = 0 },
        on_reset => sub { %ids = %violations = (); $cold_done = 0 },
        more => { ids => \&show_ids },
    );

    $server->run;

    return;
}


# what 1C's web extension and then the service's own code would do

sub publication {
    my ($c, $r) = @_;

    return if $control->takes($c, $r);

    if (!grep { index($r->{path}, $_) == 0 } @{ $opt{path} }) {
        $control->{total}{not_published}++;
        return $server->respond($c, 404, "Content-Type: text/html\r\n",
                                "<h1>404 Not Found</h1>\n");
    }

    if ($r->{method} ne 'POST') {
        $control->{total}{not_allowed}++;
        return $server->respond($c, 405, "Allow: POST\r\n", '');
    }

    receive($c, $r);

    my $rule = $control->rule_for($r);
    my $delay = $rule->{delay} // 0;
    $r->{mode} = $rule->{mode};

    if ($rule->{mode} eq 'cold') {
        $delay += $cold_done++ ? $rule->{then} // 0.05
                               : $rule->{first} // 12;
    }

    return answer($c, $r, $rule) if $delay <= 0;
    return $server->later($c, $delay, sub { answer($c, $r, $rule) });
}


sub receive {
    my ($c, $r) = @_;

    $r->{id} = $r->{headers}{'webhook-id'} // '';
    $ids{$r->{id}}[0]++;

    for my $what (violations($r, @{ $opt{secret} })) {
        $violations{$what}{count}++;
        $violations{$what}{example}
            //= substr "$r->{head}\r\n$r->{body}", 0, 2000;
    }

    return $control->receive($c, $r);
}


sub answer {
    my ($c, $r, $rule) = @_;
    my $mode = $rule->{mode};

    if ($mode eq 'commit-close') {
        $ids{$r->{id}}[1]++;
        return $server->drop($c, 'server');
    }

    return if $server->harm($c, $mode);

    my ($status, $headers, $body)
        = ruled_answer($rule, usual_answer($rule, $r, $control->{now}));

    $r->{status} = $status;
    $ids{$r->{id}}[1]++ if $status < 300 && $mode ne 'exception';
    $c->{close} = CLOSE_OURS if $rule->{close};

    return $server->respond($c, $status, $headers, $body, $mode);
}


sub show_ids {
    my ($c) = @_;

    return $control->reply_text($c, join '', map { "$_ "
               . ($ids{$_}[0] // 0) . ' ' . ($ids{$_}[1] // 0) . "\n" }
               sort keys %ids);
}


# duplicates: requests beyond the first of each id; taken: ids that 1C has
# taken; taken_twice: more than once

sub stats {
    my $taken = grep { $_->[1] } values %ids;
    my $twice = grep { ($_->[1] // 0) > 1 } values %ids;
    my $duplicates = 0;
    $duplicates += ($_->[0] // 1) - 1 for values %ids;

    return (ids => scalar(keys %ids), taken => $taken, taken_twice => $twice,
            duplicates => $duplicates, violations => \%violations);
}
