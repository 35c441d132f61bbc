#!/usr/bin/perl

# Copyright (C) the ngx_http_bitrix1c_module authors

# A stand-in for the REST of a Bitrix24 portal, for tests, demos and the bench.
# One process, core Perl only, keepalive HTTP/1.1, slow answers by timers.
#
#   bitrix.pl [--listen 127.0.0.1:0] [--control 127.0.0.1:0] [--log FILE]
#             [--mode NAME] [--print] [--keep 10000]
#             [--orders 120] [--products 1000] [--deals 60] [a setting]...
#
# The first lines of the standard output are those of onec.pl, and so are the
# meanings of the options that both have, the form of the log, the rules and
# the control address; only what is different stands here.
#
# It serves /rest/1/KEY/METHOD, also with .json after it: parameters in the
# address, in a form with PHP's brackets or in JSON, answers as the official
# documentation shows them.  Methods:
#   sale.order           .list .get .update .add .getFields
#   catalog.product      .list .get .update .getFields
#   catalog.price        .list .get .update .getFields
#   catalog.storeproduct .list .get .update .getFields
#   crm.deal             .list .get .update .add
#   user.current department.get batch
# The rows of orders, products with a price each, and deals are the ids from 1
# on; each product is in store 1, and in another as soon as its amount is set.
# catalog.storeproduct.update is in no documentation and not on current portals,
# see --without; it takes an amount by id or by productId and storeId.
#
# As on a portal: names that are not known, so those in the wrong case, are
# passed over without a word, and a filter of such a name is none; [] stands for
# empty objects; a batch is one request to the bucket, and its commands cost as
# if called alone; errors have no "time".
#
# Settings, as options or, with an underscore for the hyphen, at the control
# address
#   --key TEXT          the webhook's secret (x7k2mq9dn3s8f1aa)
#   --rate 2            requests a second that leak out of the bucket of a
#                       portal (the Host) and caller's address
#   --burst 50          height of the bucket
#   --operating 480     seconds in ten minutes after which a method is blocked
#   --cost METHOD=S     what a call of the method costs, in seconds
#   --default-cost 0.03
#   --scale 1           simulated seconds in a real one, for all these limits;
#                       operating_reset_at is told as a time of the real clock
#   --without METHOD    not on this portal: ERROR_METHOD_NOT_FOUND
#   --scope a,b         of the webhook (sale,catalog,crm)
#   --no-counters       a portal without an operating limit tells no counters
#   --error-time        errors have a "time" too
#   --work              an answer takes what it costs, scaled
#
# Control address, beside mode, reset, stats and received
#   POST /_standin/settings     {setting: value, ...}, {"spend": {METHOD: S}} to
#                               bring a method near its limit; GET shows them
#   GET  /_standin/writes?wait=N&timeout=S
#                               all writes in their order, a line of JSON each:
#                               n of the request, time, method, command (key in
#                               the batch), row ("orders 5", "storeProducts
#                               PRODUCT/STORE"), set {field: value}
#   GET  /_standin/rows?table=orders|products|prices|storeProducts|deals
#                               a line of JSON each
# "reset" makes the rows new and empties the buckets; settings stay.  Requests
# have rest (the method), portal, error (its code) and commands [[key, method,
# query], ...].  Statistics: hits, refused, highest (of the bucket) and minutes
# (simulated, from the first request to the last) of each portal; calls of each
# method and errors of each code, with those in batches and without those of
# rules; commands; writes; ignored (names passed over).
#
# Rules have "method" too, a regex on the method's name, and "inside": 1 for
# rules about the commands of batches, which can only have errors.  Modes:
#   ok               as above
#   limit            503 QUERY_LIMIT_EXCEEDED     overload  503 OVERLOAD_LIMIT
#   operation        429 OPERATION_TIME_LIMIT     internal  500, by 500 too
#   nomethod         404 ERROR_METHOD_NOT_FOUND   scope     403
#   credentials      401                          noauth    401
#   plan             403 ACCESS_DENIED            deleted   500 PORTAL_DELETED
#   noorder          400, a number beyond 32 bits
#   error, number    200 with an error            absent    400, its code is ""
#   html             200 with a page              empty     200, no body
#   nojson           200 null                     big       200 of "size" bytes
#   echo             200 with an error that names the address
#   redirect         302 to /auth/ with the address in Location
#   200..599         that status with HTML
#   close, reset, hang                            before anything is done
#   commit-close, commit-reset, commit-hang       after it
#   slow             done at once, answered after "delay" (3) seconds
#   chunked, truncated, cutchunk, unframed        done, and answered so
#   refuse, listen   as in onec.pl

use strict;
use warnings;

use FindBin ();
use Getopt::Long qw(GetOptions);
use JSON::PP ();

use lib "$FindBin::Bin/lib";

use Bitrix1C::Portal::Answers qw(JSON mode_name error_json misbehaviour
                                 does_nothing);
use Bitrix1C::Portal::Params qw(from_request);
use Bitrix1C::Portal::Rest ();
use Bitrix1C::Portal::View qw(call_json call_line);
use Bitrix1C::Standin::Control ();
use Bitrix1C::Standin::Rules qw(ruled_answer);
use Bitrix1C::Standin::Server qw(CLOSE_OURS);

my %opt = (listen => '127.0.0.1:0', mode => 'ok', keep => 10_000,
           orders => 120, products => 1000, deals => 60);

my ($server, $control, $rest);

main();


sub main {
    GetOptions(\%opt, qw(listen=s control=s log=s mode=s print keep=i orders=i
                         products=i deals=i key=s rate=f burst=f operating=f
                         cost=f% default-cost=f scale=f without=s@ scope=s
                         counters! error-time work))
        && !@ARGV
        or die "usage: see the head of $0\n";

    $opt{scope} = [split /,/, $opt{scope}] if defined $opt{scope};
    $rest = Bitrix1C::Portal::Rest->new(%opt, inside => \&command_error);
    my $error = $rest->change({ map { tr/-/_/r => $opt{$_} }
        grep { exists $rest->settings->{tr/-/_/r} } keys %opt });
    die "$error\n" if $error;

    $server = Bitrix1C::Standin::Server->new(
        listen => $opt{listen}, control => $opt{control},
        on_request => \&portal, on_end => sub { $control->finished(@_) },
    );

    $control = Bitrix1C::Standin::Control->new(
        %opt, server => $server, mode_name => \&mode_name,
        counters => ['not_found', 'writes'],
        json => \&call_json, line => \&call_line,
        stats => sub { $rest->stats }, on_reset => sub { $rest->forget },
        more => { settings => \&control_settings, writes => \&show_writes,
                  rows => \&show_rows },
    );

    $server->run;

    return;
}


sub portal {
    my ($c, $r) = @_;

    return if $control->takes($c, $r);

    my ($key, $method, $query) = $r->{path}
        =~ m{^/rest/(?:\d+/(\w+)/)?([\w.]+?)(?:\.json)?/?(?:\?(.*))?\z}s;

    if (!defined $method) {
        $control->{total}{not_found}++;
        return $server->respond($c, 404, "Content-Type: text/html\r\n",
                                "<h1>404 Not Found</h1>\n");
    }

    $r->{rest} = lc $method;
    $r->{portal} = $r->{headers}{host} // '';
    $control->receive($c, $r);

    my $rule = $control->rule_for($r);
    $r->{mode} = $rule->{mode};

    my ($status, $headers, $body, $seconds) = does_nothing($rule->{mode})
        ? (misbehaviour($rule, $r), 0) : done($c, $r, $key, $query);

    $seconds = $rule->{delay} // ($rule->{mode} eq 'slow' ? 3 : $seconds);

    my @answer = ($c, $r, $rule, $status, $headers, $body);

    return answer(@answer) if $seconds <= 0;
    return $server->later($c, $seconds, sub { answer(@answer) });
}


# the answer of a request that the limits let pass, and how long it takes

sub done {
    my ($c, $r, $key, $query) = @_;

    if (!$rest->{limits}->hit("$r->{portal} $c->{peer}")) {
        $r->{error} = 'QUERY_LIMIT_EXCEEDED';
        $rest->count_error('limit');
        return (503, JSON, error_json('limit'), 0);
    }

    my ($status, $body, $cost)
        = $rest->answer($r, $key, from_request($r, $query));

    $control->{total}{writes} = @{ $rest->{store}{writes} };

    return ($status, JSON, $body,
            $rest->{work} ? $cost / $rest->{scale} : 0);
}


sub answer {
    my ($c, $r, $rule, $status, $headers, $body) = @_;

    return if $server->harm($c, $rule->{mode} =~ s/^commit-//r);

    ($status, $headers, $body)
        = ruled_answer($rule, $status, $headers, $body);

    $r->{status} = $status;
    $c->{close} = CLOSE_OURS if $rule->{close};

    return $server->respond($c, $status, $headers, $body, $rule->{mode});
}


# what a rule makes of a command in the batch $r, undef if it is to be done

sub command_error {
    my ($r, $method, $query) = @_;
    my $rule = $control->inside_rule_for($r, rest => $method, body => $query);

    return $rule ? $rule->{mode} : undef;
}


sub control_settings {
    my ($c, $arg, $body) = @_;
    my $error;

    if ($body ne '') {
        my $new = eval { JSON::PP->new->utf8->decode($body) };
        $error = ref $new eq 'HASH' ? $rest->change($new) : 'not an object';
    }

    return $control->reply($c, { error => $error }, 400) if $error;
    return $control->reply($c, $rest->settings);
}


sub show_writes {
    my ($c, $arg) = @_;

    return $control->when_there($c, $arg, 'writes', sub {
        my ($status) = @_;
        my $text = join '', map { "$_\n" } @{ $rest->{store}->history };
        $control->reply_text($c, $text, $status);
    });
}


sub show_rows {
    my ($c, $arg) = @_;
    my $rows = $rest->{store}->all($arg->{table} // '')
        or return $control->reply($c, { error => 'unknown table' }, 400);

    return $control->reply_text($c, join '', map { "$_\n" } @$rows);
}
